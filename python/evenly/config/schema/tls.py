"""TLS: certificates, and how listeners terminate it."""

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from .acme import AcmeOrHosts
from .table import Bounds, Matching, Table, listed, refused, widened, written
from .units import Duration, Rate, Timeout
from .words import CertificateName, FilePath

Alpn = Annotated[str, Matching(r"[\x21-\x7e]{1,255}", 'the name of a protocol such as "h2" or "http/1.1"')]


# Names without a dot and addresses are what development has.
AnyHost = Annotated[
    str,
    Matching(r"((\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?|[0-9a-f:]*:[0-9a-f:.]*)", "a host or an address"),
]


class Certificate(Table):
    """A certificate for listeners with TLS: `cert` and `key`, `acme`, or `self_signed`.

    Both files are watched: what replaces them is used for new connections, without a reload; whatever is wrong with it
    is told in the log, and the one before stays.
    """

    heading: ClassVar[str] = "Certificate"
    where: ClassVar[str] = "[certificates.NAME]"
    example: ClassVar[str] = """
[certificates.site]
cert = "/etc/evenly/site/fullchain.pem"
key = "/etc/evenly/site/privkey.pem"
"""

    cert: FilePath | None = Field(
        default=None,
        description="A PEM file with the certificate first, and then those that lead to a root, each before the one "
        "that issued it; relative to the configuration file.",
        examples=["fullchain.pem"],
    )
    key: FilePath | None = Field(
        default=None,
        description="A PEM file with its private key (ECDSA on P-256 or P-384, RSA, Ed25519), not "
        "encrypted, and readable by its owner and group only.",
        examples=["privkey.pem"],
    )
    acme: AcmeOrHosts | None = Field(
        default=None,
        description="Instead of files: hosts whose certificate is issued and renewed over ACME. Until the first is "
        "there, clients are shown a placeholder that vouches for itself, which they refuse.",
        examples=[{"hosts": ["example.com"]}],
    )

    self_signed: Annotated[list[AnyHost], widened(listed, AnyHost, list[AnyHost])] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Instead of files, for development: hosts and addresses whose certificate Evenly makes by itself, "
        "anew with each start. Nobody trusts it.",
        examples=[["localhost", "127.0.0.1"]],
    )

    ocsp_stapling: bool = Field(
        default=True,
        description="Whether its issuer is asked, in the background, if it is revoked, and the answer shown to clients "
        "in the handshake (OCSP). Only where the certificate says whom to ask, and a listener shows it. Whatever fails "
        "changes nothing for clients until the last answer has expired; from then on they are shown none.",
    )

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if self.acme is not None and (self.cert is not None or self.key is not None):
            raise refused("goes instead of `cert` and `key`, not beside them", "acme")
        if self.self_signed is not None and (self.acme is not None or self.cert is not None or self.key is not None):
            raise refused("goes instead of files and `acme`, not beside them", "self_signed")
        if self.acme is None and self.self_signed is None and (self.cert is None or self.key is None):
            if self.cert is None and self.key is None:
                raise refused("needs `cert` and `key`, `acme`, or `self_signed`")
            raise refused("required key is missing", "cert" if self.cert is None else "key")
        return self

    @property
    def files(self) -> tuple[str, str] | None:
        """`cert` and `key`, where these have it."""
        return None if self.cert is None or self.key is None else (self.cert, self.key)


@written('a time such as "30d", "1y" or "24h"', r"^\d{1,9} ?(y|d|h)$", 'it as "1y"')
@dataclass(frozen=True, order=True, slots=True)
class Age:
    """A long time; whole hours. A year has 365 days."""

    hours: int

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"(\d{1,9}) ?(y|d|h)", text, re.ASCII)
        if match is None:
            raise ValueError("the unit is missing" if text.isdigit() else "")
        return cls(int(match[1]) * _HOURS[match[2]])

    @property
    def seconds(self) -> int:
        """As header fields say it."""
        return self.hours * 3600

    def __str__(self) -> str:
        unit, hours = next((each for each in _HOURS.items() if self.hours % each[1] == 0), ("h", 1))
        return f"{self.hours // hours}{unit}" if self.hours else "0h"


_HOURS = {"y": 24 * 365, "d": 24, "h": 1}


class Hsts(Table):
    """HTTP Strict Transport Security (RFC 6797). Short form: `max_age`."""

    heading: ClassVar[str] = "HTTP listener: HSTS"
    where: ClassVar[str] = "[listeners.NAME.tls.hsts]"
    example: ClassVar[str] = """
[listeners.secure]
bind = "0.0.0.0:443"
tls = { certificates = "site", hsts = { max_age = "2y", include_subdomains = true } }

[certificates.site]
cert = "site/fullchain.pem"
key = "site/privkey.pem"
"""

    max_age: Annotated[Age, Bounds(Age(0), Age.parse("10y"), "a time")] = Field(
        description='How long they remember it from then on. `"0h"` makes them forget; nothing else does.',
        examples=["1y"],
    )
    include_subdomains: bool = Field(default=False, description="Whether it holds for every name below the host, too.")
    preload: bool = Field(
        default=False,
        description="Whether you agree to the host being listed in browsers themselves, which takes a year to undo. "
        "Needs `include_subdomains` and a `max_age` of a year.",
    )

    @model_validator(mode="after")
    def _check_preload(self) -> Self:
        if self.preload and not (self.include_subdomains and self.max_age >= Age.parse("1y")):
            raise refused('needs `include_subdomains = true` and a `max_age` of "1y" or more', "preload")
        return self

    def __str__(self) -> str:
        words = [f"max-age={self.max_age.seconds}"]
        words += ["includeSubDomains"] if self.include_subdomains else []
        return "; ".join([*words, "preload"] if self.preload else words)


HstsOrAge = Annotated[Hsts, widened(lambda v: v if isinstance(v, dict | Hsts) else {"max_age": v}, str, Hsts)]


class ListenerTls(Table):
    """The options of TLS that listeners of both protocols share."""

    certificates: Annotated[list[CertificateName], widened(listed, CertificateName, list[CertificateName])] = Field(
        min_length=1,
        description="Certificates by name. A client is shown one for the name that it asks for (SNI): exact before "
        "wildcard; of several for one name, ECDSA before RSA where the client can verify it. Whoever asks for no name, "
        'or for one that none has, is shown the first. `"auto"` on an HTTP listener stands for one certificate over '
        "ACME for each host of its routes.",
        examples=[["site"]],
    )
    policy: Literal["modern", "intermediate"] = Field(
        default="modern",
        description='As Mozilla recommends: `"modern"` is TLS 1.3 only, which every browser since 2020 speaks; '
        '`"intermediate"` is TLS 1.2 too, with forward secrecy and AEAD ciphers only. Key exchange is '
        "X25519MLKEM768 before X25519, P-256 and P-384.",
    )
    min_version: Literal["1.2", "1.3"] | None = Field(
        default=None, description="The lowest version; without it, the policy's.", examples=["1.3"]
    )
    strict_sni: bool = Field(
        default=False,
        description="Whether clients are refused that ask for no name, or for one that no certificate has; and "
        "requests answered with 421 for a host that the connection's certificate is not for.",
    )
    session_tickets: bool = Field(
        default=True,
        description="Whether clients may resume sessions, which saves the signature; `[session_tickets]` has the "
        "secret.",
    )
    handshake_timeout: Timeout = Field(
        default=Duration.parse("10s"), description="For the whole handshake; slower clients are cut."
    )
    max_handshakes_per_client: Annotated[Rate, Bounds(Rate.parse("1/h"), Rate.parse("1000000/s"), "a rate")] | None = (
        Field(
            default=None,
            description="Handshakes of one client; an IPv6 client is its /64. Those beyond are turned away as "
            "`on_deny` says.",
            examples=["20/s"],
        )
    )

    client_ca: FilePath | None = Field(
        default=None,
        description="A PEM file with the authorities whose certificates clients have to show (mTLS); relative to the "
        "configuration file. Unset, clients are not asked. A file that is replaced is used for new connections, "
        "without a reload, and ends the sessions that could be resumed.",
        examples=["clients-root.pem"],
    )
    client_auth: Literal["required", "optional"] | None = Field(
        default=None,
        description='Whether clients without a certificate are refused in the handshake: `"required"`, which is so by '
        'itself with `client_ca`; or `"optional"`, and then it is for routes to say (`client_certificate`).',
        examples=["optional"],
    )
    crl: FilePath | None = Field(
        default=None,
        description="A PEM file with revocation lists, one for each authority that issues clients' certificates. It is "
        "watched as `client_ca` is. A list that is past its time is used all the same, with a warning.",
        examples=["clients.crl.pem"],
    )

    @model_validator(mode="after")
    def _check_clients(self) -> Self:
        for option in ("client_auth", "crl"):
            if self.client_ca is None and getattr(self, option) is not None:
                raise refused("has no effect without `client_ca`", option)
        return self

    @model_validator(mode="after")
    def _check_version(self) -> Self:
        if self.policy == "modern" and self.min_version == "1.2":
            raise refused('the policy "modern" has TLS 1.3 only; "intermediate" has 1.2 as well', "min_version")
        return self


class HttpTls(ListenerTls):
    """TLS towards clients of an HTTP listener. Requests then are `https`: in `{scheme}`, `X-Forwarded-Proto`, and for
    cookies that are `Secure`. ALPN offers `h2`, unless the listener's `http2` is off, and `http/1.1`."""

    heading: ClassVar[str] = "HTTP listener: TLS"
    where: ClassVar[str] = "[listeners.NAME.tls]"
    example: ClassVar[str] = """
[listeners.secure]
bind = "0.0.0.0:443"
tls = { certificates = ["site", "shop"], policy = "intermediate" }

[certificates.site]
cert = "site/fullchain.pem"
key = "site/privkey.pem"

[certificates.shop]
cert = "shop/fullchain.pem"
key = "shop/privkey.pem"
"""

    hsts: HstsOrAge | None = Field(
        default=None,
        description="What browsers are told to remember with every response: that they are to come over TLS only "
        "(`Strict-Transport-Security`, RFC 6797). A field of this name that an endpoint or a route sets goes "
        "before it. Unset, they are told nothing.",
        examples=["1y"],
    )

    forward_client_certificate: bool = Field(
        default=False,
        description="Whether endpoints get the whole certificate as well, as `Client-Cert` (RFC 9440). With "
        "`client_ca` they are told `X-Client-Cert-Verify` (`success`, `none`), `-Subject`, `-San` and `-Fingerprint` "
        "(SHA-256) in any case; what clients send under these names is left out, without `client_ca` too.",
    )

    @model_validator(mode="after")
    def _check_forwarding(self) -> Self:
        if self.forward_client_certificate and self.client_ca is None:
            raise refused("has no effect without `client_ca`", "forward_client_certificate")
        return self


class StreamTls(ListenerTls):
    """TLS towards clients of a TCP listener: the pool gets what is inside of it."""

    heading: ClassVar[str] = "TCP listener: TLS"
    where: ClassVar[str] = "[listeners.NAME.tls]"
    example: ClassVar[str] = """
[listeners.ldaps]
bind = "0.0.0.0:636"
protocol = "tcp"
pool = "ldap"
tls = { certificates = "site" }

[certificates.site]
cert = "site/fullchain.pem"
key = "site/privkey.pem"
"""

    alpn: Annotated[list[Alpn], widened(listed, Alpn, list[Alpn])] = Field(
        default=[],
        description="Protocols that a client may choose from, the most wanted first (ALPN); empty is no choice.",
        examples=[["postgresql"]],
    )


class SessionTickets(Table):
    """What TLS session tickets are sealed with. Their keys come of the secret and rotate every 12 hours; a ticket is
    good for as long at least.

    Without a file, a process draws a secret of its own; it holds over reloads and `evenly upgrade`, not over a restart.
    With one file on several nodes, a session that began on one is resumed on any. To rotate it, proceed as for
    `[affinity]`.
    """

    heading: ClassVar[str] = "Session tickets"
    where: ClassVar[str] = "[session_tickets]"
    example: ClassVar[str] = """
[session_tickets]
secret_file = "/etc/evenly/tickets.secret"
"""

    secret_file: FilePath | None = Field(
        default=None,
        description="A file with the secret: a line of 16 characters or more, such as `openssl rand -hex 32` prints; "
        "relative to the configuration file, readable by its owner and group only.",
        examples=["/etc/evenly/tickets.secret"],
    )
    previous_secret_file: FilePath | None = Field(
        default=None,
        description="A file with a secret whose tickets are still accepted.",
        examples=["/etc/evenly/tickets.previous"],
    )

    @model_validator(mode="after")
    def _check_both(self) -> Self:
        if self.previous_secret_file is not None and self.secret_file is None:
            raise refused("has no effect without `secret_file`", "previous_secret_file")
        return self
