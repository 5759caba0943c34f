"""How records of the challenge `dns-01` get into the DNS (RFC 8555, section 8.4)."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from .discovery import QueryName, ResolverAddress, Word
from .table import Table, integer, one_of
from .units import Duration, durations
from .words import FilePath

KINDS = ("rfc2136", "exec", "plugin")
_TYPE = one_of(*KINDS)

Wait = Annotated[Duration, durations("0s", "1h")]
_WAIT = (
    "How long to wait before the issuer is told to look: as long as the records may take to reach every name server "
    "of the zone."
)


class DynamicUpdate(Table):
    """Dynamic updates (RFC 2136), signed with TSIG (RFC 8945): BIND, Knot, PowerDNS and others take them."""

    heading: ClassVar[str] = "ACME: DNS by dynamic update"
    where: ClassVar[str] = '[acme.dns] type = "rfc2136"'
    example: ClassVar[str] = """
state_dir = "/var/lib/evenly"

[acme]
terms_agreed = true
challenge = "dns-01"
dns = { type = "rfc2136", server = "192.0.2.53", key_name = "evenly", key_file = "/etc/evenly/tsig.secret" }

[certificates.site]
acme = ["example.com", "*.example.com"]
"""

    type: Annotated[Literal["rfc2136"], _TYPE] = Field(description="How records get into the DNS.")
    server: ResolverAddress = Field(description="The zone's primary server.", examples=["192.0.2.53"])
    zone: QueryName | None = Field(
        default=None,
        description="The zone that is updated; unset, the server is asked which one each name is in.",
        examples=["example.com"],
    )
    key_name: QueryName = Field(description="The name of the TSIG key, as the server knows it.", examples=["evenly"])
    key_file: FilePath = Field(
        description="A file with the key's secret in base64, as `tsig-keygen` prints it; relative to the configuration "
        "file, readable by its owner and group only.",
        examples=["/etc/evenly/tsig.secret"],
    )
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = Field(
        default="hmac-sha256", description="The key's algorithm."
    )
    ttl: Annotated[int, integer(1, 86_400)] = Field(default=60, description="Of the records, in seconds.")
    wait: Wait = Field(default=Duration.parse("5s"), description=_WAIT)


class ExecHook(Table):
    """A program that adds and removes records: it is started with `add` or `remove`, the record's name and its value
    behind `command`, and must end with 0 when that is done. No shell is in between."""

    heading: ClassVar[str] = "ACME: DNS by a program"
    where: ClassVar[str] = '[acme.dns] type = "exec"'
    example: ClassVar[str] = """
state_dir = "/var/lib/evenly"

[acme]
terms_agreed = true
challenge = "dns-01"
dns = { type = "exec", command = ["/usr/local/bin/dns-hook", "--zone", "example.com"], wait = "30s" }

[certificates.site]
acme = "*.example.com"
"""

    type: Annotated[Literal["exec"], _TYPE] = Field(description="How records get into the DNS.")
    command: list[Annotated[str, Field(min_length=1)]] = Field(
        min_length=1,
        description="The program, by its absolute path, and its first arguments.",
        examples=[["/usr/local/bin/dns-hook"]],
    )
    timeout: Annotated[Duration, durations("1s", "10m")] = Field(
        default=Duration.parse("60s"), description="How long it may take; then it is killed, which is a failure."
    )
    wait: Wait = Field(default=Duration.parse("5s"), description=_WAIT)


class DnsPlugin(Table):
    """A class that an installed Python package offers under the entry point `evenly.dns`. The module
    `evenly.certificates.dns` says what it must be able to do."""

    heading: ClassVar[str] = "ACME: DNS by a plug-in"
    where: ClassVar[str] = '[acme.dns] type = "plugin"'
    example: ClassVar[str] = """
state_dir = "/var/lib/evenly"

[acme]
terms_agreed = true
challenge = "dns-01"
dns = { type = "plugin", name = "mydns", options = { token_file = "/etc/evenly/dns.token" } }

[certificates.site]
acme = "*.example.com"
"""

    type: Annotated[Literal["plugin"], _TYPE] = Field(description="How records get into the DNS.")
    name: Word = Field(description="The name of the entry point.", examples=["mydns"])
    options: dict[str, str] = Field(
        default={},
        description="What it is made with, by name. Secrets belong into files that these name.",
        examples=[{"token_file": "/etc/evenly/dns.token"}],
    )
    wait: Wait = Field(default=Duration.parse("5s"), description=_WAIT)


def _tag(value: Any) -> str:  # noqa: ANN401 - whatever the user wrote
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"<{kind}>" if kind in KINDS else "<rfc2136>"


DnsChallenge = Annotated[
    Annotated[DynamicUpdate, Tag("<rfc2136>")]
    | Annotated[ExecHook, Tag("<exec>")]
    | Annotated[DnsPlugin, Tag("<plugin>")],
    Discriminator(_tag),
]
