"""Affinity: the same client goes to the same endpoint, or stays on the same variant of a split."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from .table import Matching, Says, Table, expected, integer, refused, widened, written
from .units import Duration, Timeout, durations
from .words import CookieName, FieldName, FilePath

KINDS = ("cookie", "learn", "source_ip", "header", "query", "sni")
_SECURE = '"auto", true or false'


def _check_secure(value: object) -> object:
    if value != "auto" and not isinstance(value, bool):
        raise expected(_SECURE)
    return value


class AffinityCookie(Table):
    """A cookie that Evenly sets: opaque, signed, and valid on every node with the same secret. Short form: its name."""

    heading: ClassVar[str] = "Affinity cookie"
    where: ClassVar[str] = '[pools.NAME] affinity = { cookie = "…" }, [[routes]] split_affinity = "…"'
    example: ClassVar[str] = """
[pools.app]
endpoints = ["10.0.0.1:9000", "10.0.0.2:9000"]
affinity = { cookie = { name = "__Host-app", ttl = "8h", secure = true, same_site = "strict" } }
"""

    name: CookieName = Field(
        description="Its name. Pools and splits of one host need names or paths of their own: each would take the "
        "cookie from the others.",
        examples=["evenly"],
    )
    path: Annotated[str, Matching(r"/[!-:<-~]*", 'a path such as "/" without spaces and ";"')] = Field(
        default="/", description="`Path`: the requests that carry it."
    )
    same_site: Literal["lax", "strict", "none"] = Field(
        default="lax",
        description='`SameSite`: whether requests from other sites carry it. `"none"` needs HTTPS; over plain HTTP the '
        "attribute is left out then.",
    )
    http_only: bool = Field(default=True, description="`HttpOnly`: scripts cannot read it.")
    secure: Annotated[Literal["auto"] | bool, BeforeValidator(_check_secure), Says(_SECURE)] = Field(
        default="auto",
        description='`Secure`: it goes over HTTPS only. `"auto"` sets it where the request came over TLS, here or, by '
        "the word of a trusted proxy (`X-Forwarded-Proto`, `Forwarded`), before it.",
    )
    ttl: Annotated[Duration, durations("1s", "8760h")] | None = Field(
        default=None,
        description="`Max-Age`, counted from when it was set; unset, the browser keeps it until it is closed. It is "
        "set when a client is new or moves.",
        examples=["8h"],
    )

    @model_validator(mode="after")
    def _check_what_browsers_accept(self) -> Self:
        prefix = re.match(r"__(secure|host)-", self.name, re.IGNORECASE)
        if prefix and self.secure is not True:
            raise refused(f'must be true: browsers refuse a name that begins with "{prefix[0]}" otherwise', "secure")
        if prefix and prefix[1].lower() == "host" and self.path != "/":
            raise refused(f'must be "/": browsers refuse a name that begins with "{prefix[0]}" otherwise', "path")
        if self.same_site == "none" and self.secure is False:
            raise refused('must not be false: browsers refuse same_site = "none" without it', "secure")
        return self


def _widen(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


AffinityCookieOrName = Annotated[AffinityCookie, widened(_widen, str, AffinityCookie)]


@written(
    'a prefix length such as "/32" or "/64", or one for IPv4 and one for IPv6 such as "/24,/56"', r"^/\d+(,/\d+)?$"
)
@dataclass(frozen=True, order=True, slots=True)
class Prefixes:
    """The leading bits of an address that tell clients apart."""

    v4: int = 32
    v6: int = 64

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"/(\d{1,3})(?:, ?/(\d{1,3}))?", text, re.ASCII)
        if match is None:
            raise ValueError("")
        first = int(match[1])
        if match[2] is not None:
            prefixes = cls(first, int(match[2]))
        else:
            prefixes = cls(v4=first) if first <= cls().v4 else cls(v6=first)
        if not (1 <= prefixes.v4 <= 32 and 1 <= prefixes.v6 <= 128):
            raise ValueError("an IPv4 address has 32 bits, an IPv6 address 128")
        return prefixes

    def __str__(self) -> str:
        return f"/{self.v4},/{self.v6}"


def _ttl(validated: dict[str, Any]) -> Duration | None:
    return None if validated.get("cookie") is not None else Duration.parse("30m")


def _max_entries(validated: dict[str, Any]) -> int | None:
    return None if validated.get("cookie") is not None else 100_000


class Affinity(Table):
    """How a pool knows its clients again, so that each stays with its endpoint. Exactly one of the first six.

    A client stays while its endpoint drains, and moves once when the endpoint becomes unhealthy, goes into maintenance,
    gets weight 0 or is removed. All but `cookie` are remembered: at `max_entries` a new client takes the place of one
    that was seen only once, as long as there is one.
    """

    heading: ClassVar[str] = "Pool: affinity"
    where: ClassVar[str] = "[pools.NAME.affinity]"
    example: ClassVar[str] = """
[pools.app]
endpoints = ["10.0.0.1:9000", "10.0.0.2:9000"]
affinity = { cookie = "evenly" }

[pools.java]
endpoints = ["10.0.1.1:8080", "10.0.1.2:8080"]
affinity = { learn = "JSESSIONID", ttl = "1h" }

[pools.mail]
endpoints = ["10.0.2.1:143", "10.0.2.2:143"]
affinity = { source_ip = "/32,/64" }
"""

    cookie: AffinityCookieOrName | None = Field(
        default=None, description="By a signed cookie that Evenly sets.", examples=["evenly"]
    )
    learn: CookieName | None = Field(
        default=None,
        description="By a cookie of the application's own with this name, learned when an endpoint sets it.",
        examples=["JSESSIONID"],
    )
    source_ip: Prefixes | None = Field(
        default=None,
        description="By the client's network, from trusted proxies the forwarded client's; the one kind that TCP "
        "listeners can use without TLS. One length up to 32 is for IPv4, a longer one for IPv6; the other is `/32` or "
        "`/64`.",
        examples=["/32"],
    )
    header: FieldName | None = Field(
        default=None, description="By the first value of this request header.", examples=["X-Tenant"]
    )
    query: Annotated[str, Matching(r"[^\x00-\x20&=#\x7f]+", "the name of a query parameter")] | None = Field(
        default=None, description="By the first value of this query parameter, undecoded.", examples=["session"]
    )
    sni: Literal[True] | None = Field(
        default=None,
        description="By the name that TLS clients ask for, whether TLS ends here or is passed through: all clients of "
        "a name go to one endpoint. A TCP listener reads the name before it picks.",
        examples=[True],
    )
    ttl: Timeout | None = Field(
        default_factory=_ttl,
        description="Not with `cookie`, where it is the cookie's: how long a client is remembered after its last "
        "request; by itself `30m`.",
        examples=["1h"],
    )
    max_entries: Annotated[int, integer(1, 10_000_000)] | None = Field(
        default_factory=_max_entries,
        description="Not with `cookie`: clients remembered at once, about 60 bytes each; by itself 100,000.",
        examples=[100_000],
    )

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        kinds = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            found = " and ".join(f"`{kind}`" for kind in kinds) or "none"
            raise refused(f"expected exactly one of {', '.join(f'`{kind}`' for kind in KINDS)}, found {found}")
        if kinds == ["cookie"]:
            if self.ttl is not None:
                raise refused("is the cookie's own: write `cookie = { name = …, ttl = … }`", "ttl")
            if self.max_entries is not None:
                raise refused("has no effect beside `cookie`: nothing is remembered", "max_entries")
        return self


class AffinitySecrets(Table):
    """What affinity cookies are signed with.

    Without a file, a process draws a secret of its own; it holds over reloads and `evenly upgrade`, not over a restart,
    and no other node has it. To rotate it on several nodes, first make the new one everywhere `previous_secret_file`,
    then exchange the two files' contents, then remove the old one when no cookie of it is in use any more.
    """

    heading: ClassVar[str] = "Affinity secrets"
    where: ClassVar[str] = "[affinity]"
    example: ClassVar[str] = """
[affinity]
secret_file = "/etc/evenly/affinity.secret"
previous_secret_file = "/etc/evenly/affinity.previous"
"""

    secret_file: FilePath | None = Field(
        default=None,
        description="A file with the secret: a line of 16 characters or more, such as `openssl rand -hex 32` prints; "
        "relative to the configuration file, readable by its owner and group only.",
        examples=["/etc/evenly/affinity.secret"],
    )
    previous_secret_file: FilePath | None = Field(
        default=None,
        description="A file with a secret whose cookies are still accepted, and exchanged for new ones.",
        examples=["/etc/evenly/affinity.previous"],
    )

    @model_validator(mode="after")
    def _check_both(self) -> Self:
        if self.previous_secret_file is not None and self.secret_file is None:
            raise refused("goes beside `secret_file`", "previous_secret_file")
        return self
