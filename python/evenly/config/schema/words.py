"""Names, addresses and patterns: the texts that occur in more than one table."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Annotated, Self

from pydantic import AfterValidator, ValidationInfo

from ..problems import nearest
from .table import Matching, Says, expected, written

Ip = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Names:
    """What the file defines, so that a reference to something it does not is found where it stands."""

    pools: frozenset[str] = frozenset()
    listeners: Mapping[str, str] = field(default_factory=dict)
    """Protocol by name."""
    certificates: frozenset[str] = frozenset()
    issuers: frozenset[str] = frozenset()


def _known_pool(value: str, info: ValidationInfo) -> str:
    names: Names | None = info.context
    if names is not None and value not in names.pools:
        raise expected("the name of a pool", _suggestion(value, names.pools))
    return value


def _known_http_listener(value: str, info: ValidationInfo) -> str:
    names: Names | None = info.context
    if names is None or names.listeners.get(value) == "http":
        return value
    if value in names.listeners:
        raise expected("the name of an HTTP listener", "routes are for requests, and this listener has none")
    raise expected("the name of a listener", _suggestion(value, frozenset(names.listeners)))


def _known_certificate(value: str, info: ValidationInfo) -> str:
    names: Names | None = info.context
    if names is not None and value not in names.certificates:
        hint = "no route of this listener has a `host`, so there is nothing to get a certificate for"
        raise expected("the name of a certificate", hint if value == "auto" else _suggestion(value, names.certificates))
    return value


def _known_issuer(value: str, info: ValidationInfo) -> str:
    names: Names | None = info.context
    if names is not None and value not in names.issuers:
        raise expected("the name of an issuer of `[acme.issuers]`", _suggestion(value, names.issuers))
    return value


def _suggestion(value: str, known: frozenset[str]) -> str:
    close = nearest(value, sorted(known))
    return f"did you mean `{close}`?" if close else ""


HTTPS_PORT = 443

# Names become metric labels, log fields and parts of URLs; this keeps them readable and unquoted in all of these.
Name = Annotated[
    str, Matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", 'a name of letters, digits, "-", "_" and "." (at most 128)')
]
PoolName = Annotated[str, AfterValidator(_known_pool), Says("the name of a pool")]
CertificateName = Annotated[str, AfterValidator(_known_certificate), Says("the name of a certificate")]
IssuerName = Annotated[str, AfterValidator(_known_issuer), Says("the name of an issuer of `[acme.issuers]`")]
ListenerName = Annotated[str, AfterValidator(_known_http_listener), Says("the name of an HTTP listener")]

# RFC 9110, section 5.6.2.
_FIELD_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
FieldName = Annotated[str, Matching(_FIELD_NAME, 'a header name such as "X-User"')]
Method = Annotated[str, Matching(r"[!#$%&'*+.^_`|~0-9A-Z-]{1,32}", 'an upper-case method such as "GET"')]
CookieName = Annotated[str, Matching(_FIELD_NAME, "a cookie name")]
# RFC 9110, section 5.5: a control character in a field value would end the field or worse.
FieldValue = Annotated[str, Matching(r"[^\x00-\x08\x0a-\x1f\x7f]*", "a text without control characters")]
FilePath = Annotated[str, Matching(r"[^\x00]+", "a path")]


@written(
    'an address and port such as "0.0.0.0:8080", "[::]:8080" or ":8080" (all IPv4 addresses)',
    r"^(\[[^]]+\]|[0-9.]*):\d+$",
)
@dataclass(frozen=True, order=True, slots=True)
class BindAddress:
    """An IP address and port to listen on."""

    ip: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        host, port = split_port(text)
        # Not "[::]", which a machine without IPv6 refuses and which shows IPv4 clients as ::ffff:192.0.2.1.
        if not host:
            return cls("0.0.0.0", port)
        ip = parse_ip(host)
        if ip is None:
            raise ValueError("listeners bind IP addresses, not names")
        return cls(str(ip), port)

    def __str__(self) -> str:
        return join_port(self.ip, self.port)


@written(
    'an address and port such as "10.0.0.1:9000", "[2001:db8::1]:9000" or "app.internal:9000"', r"^(https://.+|.+:\d+)$"
)
@dataclass(frozen=True, order=True, slots=True)
class EndpointAddress:
    """A host and port to connect to; the host is an IP address or a name that is looked up when the file is read."""

    host: str
    port: int
    is_https: bool = field(default=False, compare=False)
    """Whether it is written with `https://`, which says nothing of where it is: `tls` of its pool says the same."""

    @classmethod
    def parse(cls, text: str) -> Self:
        is_https = text.startswith("https://")
        text = text.removeprefix("https://")
        if "://" in text:
            raise ValueError("leave the scheme out, unless it is https")
        if is_https and "/" in text:
            raise ValueError("an endpoint has no path; `rewrite` of a route changes paths")
        host, port = split_port(text if not is_https or re.search(r":\d+$", text) else f"{text}:{HTTPS_PORT}")
        if port == 0:
            raise ValueError("port 0 cannot be connected to")
        ip = parse_ip(host)
        if ip is not None:
            return cls(str(ip), port, is_https)
        # A name of digits and dots alone is a mistyped address: no top-level domain is numeric (RFC 3696, section 2).
        if not _HOST_NAME.fullmatch(host) or host.rsplit(".", 1)[-1].isdigit():
            raise ValueError("")
        return cls(host.lower(), port, is_https)

    @property
    def is_name(self) -> bool:
        """Whether the host must be looked up."""
        return parse_ip(self.host) is None

    def __str__(self) -> str:
        return join_port(self.host, self.port)


@written('a network such as "10.0.0.0/8", "2001:db8::/32" or one address')
@dataclass(frozen=True, order=True, slots=True)
class Network:
    """An IP network; a single address is one of full length."""

    cidr: str

    @classmethod
    def parse(cls, text: str) -> Self:
        try:
            return cls(str(ip_network(text)))
        except ValueError as error:
            if "host bits" in str(error):
                raise ValueError(f'bits after the prefix are set; write "{ip_network(text, strict=False)}"') from None
            raise ValueError("") from None

    def __str__(self) -> str:
        return self.cidr


# RFC 1123, section 2.1, plus the underscore that container names have.
_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?")


@written('a host such as "shop.example.com" or "*.example.com"')
@dataclass(frozen=True, order=True, slots=True)
class HostPattern:
    """A host, or every name below one; lower case."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        bare = text[2:] if text.startswith("*.") else text
        if text == "*":
            raise ValueError("a route without `host` matches every host")
        if not text.isascii():
            raise ValueError('write international names as "xn--…"')
        if bare.startswith("[") and bare.endswith("]") and isinstance(parse_ip(bare), IPv6Address):
            return cls(f"[{parse_ip(bare)}]")
        if re.search(r":\d*$", bare):
            raise ValueError("ports never take part in matching; leave it out")
        if not _HOST_NAME.fullmatch(bare):
            raise ValueError("")
        return cls(text.lower().removesuffix("."))

    def __str__(self) -> str:
        return self.text


def split_port(text: str) -> tuple[str, int]:
    """`host:port` in two; the brackets of an IPv6 address stay. Raises `ValueError` with a hint."""
    host, colon, port = text.rpartition(":")
    if not colon or "]" in port:
        raise ValueError("the port is missing")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("an IPv6 address stands in brackets")
    if not re.fullmatch(r"\d{1,5}", port, re.ASCII) or int(port) > 65535:
        raise ValueError("a port is a number up to 65535")
    return host, int(port)


def join_port(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_ip(host: str) -> Ip | None:
    """The IP address that a host is, with or without brackets; `None` if it is a name.

    Zone identifiers ("fe80::1%eth0") are refused with the names: interfaces are numbered anew at every boot.
    """
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        return None if "%" in bare else ip_address(bare)
    except ValueError:
        return None
