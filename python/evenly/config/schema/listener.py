"""Listeners: where clients connect."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from .compression import Compression
from .datagram import UdpListener
from .listening import ConnectionListener
from .stream import PROTOCOL, TcpListener
from .table import Bounds, Table, integer, listed, refused, widened
from .tls import HttpTls
from .units import ByteRate, Duration, Size, Timeout, durations, sizes
from .words import Network


class HttpTimeouts(Table):
    """Deadlines towards the client of an HTTP listener. Every wait ends; there is no way to turn one off."""

    heading: ClassVar[str] = "HTTP listener: timeouts"
    where: ClassVar[str] = "[listeners.NAME.timeouts]"

    header: Timeout = Field(
        default=Duration.parse("10s"), description="From the first byte of a request head to its last; after it 408."
    )
    body: Timeout = Field(default=Duration.parse("30s"), description="Between two reads of a request body; then 408.")
    idle: Timeout = Field(
        default=Duration.parse("300s"), description="A keep-alive connection on which no request is under way."
    )
    send: Timeout = Field(default=Duration.parse("30s"), description="A client that takes no byte of the response.")
    half_close: Timeout = Field(
        default=Duration.parse("1s"),
        description="How long a client that has closed its sending side is still served before it counts as gone.",
    )


def _target_within_head(validated: dict[str, Any]) -> Size:
    head: Size = validated["head"]
    return min(Size.parse("8KiB"), head)


class Limits(Table):
    """Sizes and rates towards the client of an HTTP listener."""

    heading: ClassVar[str] = "HTTP listener: limits"
    where: ClassVar[str] = "[listeners.NAME.limits]"

    head: Annotated[Size, sizes("1KiB", "64KiB")] = Field(
        default=Size.parse("32KiB"), description="A request head with its request line; above it 431."
    )
    headers: Annotated[int, integer(1, 256)] = Field(
        default=100, description="Header fields in a request; above it 431."
    )
    target: Annotated[Size, sizes("64B", "64KiB")] = Field(
        default_factory=_target_within_head,
        description="The request target (path and query), which is part of the head; above it 414. By itself 8KiB, or "
        "`head` if that is less.",
        examples=["4KiB"],
    )
    streams: Annotated[int, integer(1, 1000)] = Field(
        default=100, description="Requests of one HTTP/2 connection at once; further ones are refused."
    )
    body: Size | None = Field(
        default=None,
        description="A request body; above it 413. Bodies are never held in memory, so there is no limit by itself.",
    )
    min_rate: Annotated[ByteRate, Bounds(ByteRate(0), ByteRate(1 << 30), "a byte rate")] = Field(
        default=ByteRate.parse("240B/s"),
        description='What a body must average, in either direction; slower peers are cut. `"0B/s"` turns it off.',
    )
    min_rate_grace: Annotated[Duration, durations("0s", "8760h")] = Field(
        default=Duration.parse("5s"), description="Waiting time that is not held against a slow peer."
    )

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        if self.target > self.head:
            raise refused(
                f"{self.target} could never be reached: `head` is {self.head}, and the target is a part of it", "target"
            )
        return self


class HttpsRedirect(Table):
    """Where requests are redirected that come without TLS: same host, same path and query. Short form: `true`."""

    heading: ClassVar[str] = "HTTP listener: redirect to HTTPS"
    where: ClassVar[str] = "[listeners.NAME.redirect_https]"
    example: ClassVar[str] = """
[listeners.plain]
bind = "0.0.0.0:80"
redirect_https = true
"""

    port: Annotated[int, integer(1, 65_535)] = Field(default=443, description="The port of HTTPS, as clients see it.")
    status: Literal[301, 302, 307, 308] = Field(
        default=308, description="The status. 308 and 307 keep the method; 301 and 308 are kept by clients for good."
    )


def _redirect(value: object) -> object:
    return {} if value is True else None if value is False else value


RedirectHttps = Annotated[HttpsRedirect | None, widened(_redirect, bool, HttpsRedirect)]
HttpTlsOrAuto = Annotated[
    HttpTls, widened(lambda v: {"certificates": v} if v == "auto" else v, Literal["auto"], HttpTls)
]


class HttpListener(ConnectionListener):
    """Where HTTP clients connect, by HTTP/2, HTTP/1.1 or HTTP/1.0. Requests go through the routes."""

    heading: ClassVar[str] = "HTTP listener"
    where: ClassVar[str] = "[listeners.NAME]"
    example: ClassVar[str] = """
[listeners.web]
bind = ["0.0.0.0:8080", "[::1]:8080"]
trusted_proxies = ["10.0.0.0/8"]
timeouts = { header = "5s" }
limits = { body = "10MiB" }
"""

    protocol: Annotated[Literal["http"], PROTOCOL] = Field(default="http", description="What is spoken here.")
    trusted_proxies: Annotated[list[Network], widened(listed, Network, list[Network])] = Field(
        default=[],
        description="Networks of proxies in front of Evenly, whose `X-Forwarded-*`, `X-Real-IP`, `Forwarded` and "
        "`X-Request-Id` are believed. From everyone else these are replaced or dropped.",
        examples=[["10.0.0.0/8"]],
    )
    forwarded: bool = Field(
        default=False, description="Whether to send endpoints `Forwarded` (RFC 7239) besides `X-Forwarded-*`."
    )
    compression: Compression | None = Field(
        default=None,
        description="How responses are compressed; unset is not at all. `{}` is with all defaults.",
        examples=[{"algorithms": ["zstd", "gzip"]}],
    )
    http2: bool = Field(
        default=True,
        description="Whether HTTP/2 is spoken as well: over TLS with clients that choose it (ALPN), without TLS with "
        "clients that begin with it (prior knowledge).",
    )
    http3: bool = Field(
        default=False,
        description="Whether HTTP/3 is spoken as well, over UDP on the same addresses; needs `tls`. Other responses "
        "announce it (`Alt-Svc`). Off by itself, since it opens a port that a firewall has to know.",
    )
    tls: HttpTlsOrAuto | None = Field(
        default=None,
        description='How TLS is terminated; without it, it is not. `"auto"` is with certificates over ACME for the '
        "hosts of its routes.",
        examples=[{"certificates": ["site"]}],
    )
    redirect_https: RedirectHttps = Field(
        default=None,
        description="Whether every request is redirected to HTTPS, before any route; `true` is to port 443, with 308. "
        "What issuers of certificates ask is answered here nevertheless.",
        examples=[True],
    )
    timeouts: HttpTimeouts = Field(default=HttpTimeouts(), description="Deadlines towards the client.")
    limits: Limits = Field(default=Limits(), description="Sizes and rates towards the client.")

    @model_validator(mode="after")
    def _check_redirect(self) -> Self:
        if self.redirect_https is not None and self.tls is not None:
            raise refused("has no effect beside `tls`: whoever comes here has come over TLS", "redirect_https")
        return self

    @model_validator(mode="after")
    def _check_http3(self) -> Self:
        if self.http3 and self.tls is None:
            raise refused("needs `tls`: HTTP/3 is never spoken without", "http3")
        if self.http3 and self.proxy_protocol is not None:
            raise refused("has no place for `proxy_protocol`, which this listener expects", "http3")
        return self


def _tag(value: object) -> str:
    protocol = value.get("protocol") if isinstance(value, dict) else getattr(value, "protocol", None)
    # A list, since what the user wrote may be of any type, hashable or not.
    return f"<{protocol}>" if protocol in ["tcp", "udp"] else "<http>"


Listener = Annotated[
    Annotated[HttpListener, Tag("<http>")]
    | Annotated[TcpListener, Tag("<tcp>")]
    | Annotated[UdpListener, Tag("<udp>")],
    Discriminator(_tag),
]
