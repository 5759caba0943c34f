"""ACME (RFC 8555): who issues certificates, under which account, and how a host is shown to be ours."""

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from .discovery import ResolverAddress
from .dns_challenge import DnsChallenge
from .table import Bounds, Matching, Table, integer, listed, refused, widened, written
from .units import Rate
from .words import FilePath, IssuerName, Name

Challenge = Literal["http-01", "tls-alpn-01", "dns-01"]

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"

HttpsUrl = Annotated[
    str, Matching(r"https://[\x21-\x7e]+", 'a URL such as "https://acme-v02.api.letsencrypt.org/directory"')
]
# RFC 5321 has more; this keeps out what is plainly something else.
Email = Annotated[str, Matching(r"[^@\s]+@[^@\s]+\.[^@\s]+", 'an address such as "ops@example.com"')]

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$)(\*\.)?{_LABEL}(\.{_LABEL})+")


@written('a host such as "shop.example.com" or "*.example.com"')
@dataclass(frozen=True, order=True, slots=True)
class CertifiedHost:
    """A host name that a certificate can be for; lower case."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        if not text.isascii():
            raise ValueError('write international names as "xn--…"')
        if not _HOST.fullmatch(text) or text.rpartition(".")[2].isdigit():
            raise ValueError("a full name, of two labels or more" if "." not in text else "")
        return cls(text.lower())

    @property
    def is_wildcard(self) -> bool:
        """Whether it is every name one label below another."""
        return self.text.startswith("*.")

    def __str__(self) -> str:
        return self.text


class ExternalAccount(Table):
    """An account that you have with the issuer already (external account binding, RFC 8555, section 7.3.4): commercial
    issuers ask for it once, when the account over ACME is made."""

    heading: ClassVar[str] = "ACME: external account"
    where: ClassVar[str] = "[acme.issuers.NAME.external_account]"
    example: ClassVar[str] = """
[acme.issuers.zerossl]
directory = "https://acme.zerossl.com/v2/DV90"
external_account = { key_id = "kid-1", key_file = "/etc/evenly/zerossl.key" }
"""

    key_id: Annotated[str, Matching(r"[\x21-\x7e]+", "a text without spaces")] = Field(
        description="The key's identifier, as the issuer says it.", examples=["kid-1"]
    )
    key_file: FilePath = Field(
        description="A file with the key, as the issuer says it (HMAC, in base64url); relative to the configuration "
        "file, readable by its owner and group only.",
        examples=["/etc/evenly/zerossl.key"],
    )


class Issuer(Table):
    """A certificate authority that speaks ACME. Short form: the URL of its directory."""

    heading: ClassVar[str] = "ACME: issuer"
    where: ClassVar[str] = "[acme.issuers]"
    example: ClassVar[str] = """
[acme.issuers]
letsencrypt = "https://acme-v02.api.letsencrypt.org/directory"
inside = { directory = "https://ca.internal:14000/dir", ca = "/etc/evenly/ca.pem" }
"""

    directory: HttpsUrl = Field(description="The URL of its ACME directory.", examples=[LETS_ENCRYPT])
    ca: FilePath | None = Field(
        default=None,
        description="A PEM file with the certificates that its own server is verified by, relative to the "
        "configuration file; unset, those of the system's trust store.",
        examples=["/etc/evenly/ca.pem"],
    )
    external_account: ExternalAccount | None = Field(
        default=None,
        description="Your account with the issuer, if it wants one.",
        examples=[{"key_id": "kid-1", "key_file": "/etc/evenly/zerossl.key"}],
    )


IssuerOrUrl = Annotated[Issuer, widened(lambda v: {"directory": v} if isinstance(v, str) else v, str, Issuer)]


class Acme(Table):
    """What certificates with `acme` have in common."""

    heading: ClassVar[str] = "ACME"
    where: ClassVar[str] = "[acme]"
    example: ClassVar[str] = """
state_dir = "/var/lib/evenly"

[acme]
email = "ops@example.com"
terms_agreed = true

[certificates.site]
acme = { hosts = ["example.com", "www.example.com"] }

[listeners.secure]
bind = "0.0.0.0:443"
tls = { certificates = "site" }

[listeners.plain]
bind = "0.0.0.0:80"
"""

    terms_agreed: bool = Field(
        default=False,
        description="Whether you have read, and agree to, the terms of service of every issuer that is used. "
        "Certificates with `acme` need it: Evenly agrees to nothing by itself.",
        examples=[True],
    )
    email: Email | None = Field(
        default=None,
        description="Where issuers write about the account; unset is nowhere.",
        examples=["ops@example.com"],
    )
    issuers: dict[Name, IssuerOrUrl] = Field(
        default={"letsencrypt": Issuer(directory=LETS_ENCRYPT)},
        min_length=1,
        description="Issuers by name. The first is asked; each further one only if those before it have failed.",
    )
    challenge: Challenge = Field(
        default="http-01",
        description="How hosts are shown to be ours. `http-01`: the issuer asks for a file on port 80 of each host, "
        "which HTTP listeners without TLS answer while it lasts, before any route, redirect or access rule. "
        "Port 80 must lead to one of them. `tls-alpn-01`: the issuer connects to port 443 of each host with a protocol "
        "of its own (`acme-tls/1`), which listeners with TLS answer while it lasts, whatever they ask of other "
        "clients. `dns-01`: it asks for a record of the DNS, which `dns` adds; for wildcards, and for hosts that "
        "nobody reaches from outside.",
    )
    dns: DnsChallenge | None = Field(
        default=None,
        description="How records for `dns-01` get into the DNS.",
        examples=[{"type": "exec", "command": ["/usr/local/bin/dns-hook"]}],
    )
    resolver: ResolverAddress | None = Field(
        default=None,
        description="The DNS server that is asked, before an order, whether CAA records let the issuer issue; unset, "
        "those of the system.",
        examples=["10.0.0.2"],
    )
    store: FilePath | None = Field(
        default=None,
        description="A directory for accounts, keys and certificates, relative to the configuration file; made if it "
        "is not there, with files for this user alone. Processes of one machine may share it. Unset, it is `acme` in "
        "`state_dir`.",
        examples=["/var/lib/evenly/acme"],
    )


HostPattern = Annotated[
    str,
    Matching(
        r"\*|(?=.{1,253}$)(\*\.)?" + _LABEL + r"(\." + _LABEL + r")+",
        'a host such as "shop.example.com" or "*.example.com", or "*" for every one',
    ),
]


class OnDemand(Table):
    """Certificates for hosts that nobody wrote down: a client that asks for one waits in its handshake, your service or
    program is asked whether the host is yours, and a certificate is issued for it alone, kept and renewed.

    Whoever is not allowed, or comes when a bound is reached, gets what clients get that ask for nothing known: the
    listener's first certificate, or a refusal with `strict_sni`."""

    heading: ClassVar[str] = "Certificate: ACME on demand"
    where: ClassVar[str] = "[certificates.NAME.acme.on_demand]"
    example: ClassVar[str] = """
state_dir = "/var/lib/evenly"

[acme]
terms_agreed = true
challenge = "tls-alpn-01"

[certificates.customers]
acme = { on_demand = { hosts = ["*.customers.example.com"], ask = "http://127.0.0.1:8000/is-ours" } }

[listeners.secure]
bind = "0.0.0.0:443"
tls = { certificates = "customers", handshake_timeout = "30s" }
"""

    hosts: Annotated[list[HostPattern], widened(listed, HostPattern, list[HostPattern])] = Field(
        min_length=1,
        max_length=100,
        description="Hosts that may be asked about; a wildcard stands for one label, and `*` for every host.",
        examples=[["*.customers.example.com"]],
    )
    ask: Annotated[str, Matching(r"https?://[\x21-\x7e]+", 'a URL such as "http://127.0.0.1:8000/is-ours"')] | None = (
        Field(
            default=None,
            description="Who decides: it is asked with `GET` and `?domain=HOST`, within 5 seconds, before a host gets "
            "its first certificate and before each renewal. 200 allows it; everything else does not.",
            examples=["http://127.0.0.1:8000/is-ours"],
        )
    )
    command: list[Annotated[str, Field(min_length=1)]] | None = Field(
        default=None,
        min_length=1,
        description="Instead of `ask`: a program that decides, by its absolute path, and its first arguments; the host "
        "comes behind them. It ends with 0 if the host is yours and with 1 if it is not, within 5 seconds; everything "
        "else is no answer. No shell is in between.",
        examples=[["/usr/local/bin/is-ours"]],
    )
    rate: Annotated[Rate, Bounds(Rate.parse("1/h"), Rate.parse("1000/s"), "a rate")] = Field(
        default=Rate.parse("10/m"),
        description="New hosts that are asked about. Those beyond are refused, and may come again.",
    )
    max_hosts: Annotated[int, integer(1, 10_000)] = Field(
        default=1000, description="Hosts with a certificate. No more are issued then, with a warning."
    )

    @model_validator(mode="after")
    def _check_who(self) -> Self:
        if self.ask is None and self.command is None:
            raise refused("needs `ask` or `command`, which say whose hosts they are", "ask")
        if self.ask is not None and self.command is not None:
            raise refused("goes instead of `ask`, not beside it", "command")
        return self

    @property
    def decides(self) -> str:
        """Who decides, for people."""
        return self.command[0] if self.command else str(self.ask)


class AcmeCertificate(Table):
    """A certificate that Evenly gets issued, and renews, by itself. Short form: the list of hosts.

    It is renewed when the issuer says so (ARI, RFC 9773), else when two thirds of its time have passed. If that fails,
    the one before stays, the next issuer is asked, and later the first again: after 2 minutes, then after twice as
    long each time, at most 6 hours.
    """

    heading: ClassVar[str] = "Certificate: ACME"
    where: ClassVar[str] = "[certificates.NAME.acme]"
    example: ClassVar[str] = """
state_dir = "/var/lib/evenly"

[acme]
terms_agreed = true

[certificates.site]
acme = { hosts = ["example.com", "www.example.com"], key_type = "rsa-2048" }
"""

    hosts: Annotated[list[CertifiedHost], widened(listed, CertifiedHost, list[CertifiedHost])] = Field(
        default=[],
        max_length=100,
        description="The host names that it is for, at most 100.",
        examples=[["example.com", "www.example.com"]],
    )
    on_demand: OnDemand | None = Field(
        default=None,
        description="Instead of `hosts`: a certificate for each host that clients ask for and your service allows.",
        examples=[{"hosts": ["*.customers.example.com"], "ask": "http://127.0.0.1:8000/is-ours"}],
    )
    issuers: Annotated[list[IssuerName], widened(listed, IssuerName, list[IssuerName])] | None = Field(
        default=None,
        min_length=1,
        description="Issuers that are asked, in this order; unset, all of `[acme.issuers]`.",
        examples=[["letsencrypt"]],
    )
    challenge: Challenge | None = Field(default=None, description="In place of `[acme]`'s.", examples=["http-01"])
    key_type: Literal["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-4096"] = Field(
        default="ecdsa-p256", description="Kind and size of its key, which is a new one each time."
    )

    @model_validator(mode="after")
    def _check_hosts(self) -> Self:
        if not self.hosts and self.on_demand is None:
            raise refused("needs one host or more, or `on_demand` in its place", "hosts")
        if self.hosts and self.on_demand is not None:
            raise refused("goes instead of `hosts`, not beside them", "on_demand")
        if len(set(self.hosts)) < len(self.hosts):
            raise refused("names a host twice", "hosts")
        return self


def _hosts(value: object) -> object:
    return {"hosts": value} if isinstance(value, str | list) else value


AcmeOrHosts = Annotated[AcmeCertificate, widened(_hosts, str | list[str], AcmeCertificate)]
