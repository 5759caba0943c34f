"""TCP listeners: byte streams, and TLS that is passed through."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from .listening import ConnectionListener
from .table import Table, listed, one_of, refused, widened
from .tls import Alpn, StreamTls
from .units import Duration, Timeout
from .words import HostPattern, PoolName

PROTOCOL = one_of("http", "tcp", "udp")


class StreamTimeouts(Table):
    """Deadlines towards the client of a TCP listener. Every wait ends; there is no way to turn one off."""

    heading: ClassVar[str] = "TCP listener: timeouts"
    where: ClassVar[str] = "[listeners.NAME.timeouts]"

    header: Timeout = Field(
        default=Duration.parse("10s"),
        description="For a PROXY protocol header, and for the TLS ClientHello that `routes` need.",
    )
    idle: Timeout = Field(
        default=Duration.parse("1h"),
        description="A connection on which no byte has moved in either direction. "
        "Long, because pooled database connections rest for long.",
    )
    send: Timeout = Field(
        default=Duration.parse("30s"), description="A client that takes no byte of what Evenly has for it."
    )
    half_close: Timeout = Field(
        default=Duration.parse("30s"), description="How long a client that has closed its sending side is still served."
    )


class TlsRoute(Table):
    """A route of TLS connections, which are passed through: the endpoint has the certificate. What is not given matches
    everything."""

    heading: ClassVar[str] = "TCP listener: routes"
    where: ClassVar[str] = "[[listeners.NAME.routes]]"
    example: ClassVar[str] = """
[listeners.tls]
bind = "0.0.0.0:443"
protocol = "tcp"
routes = [
  { sni = "shop.example.com", pool = "shop" },
  { sni = ["example.org", "*.example.org"], alpn = "h2", pool = "app" },
]
pool = "rest"
"""

    sni: Annotated[list[HostPattern], widened(listed, HostPattern, list[HostPattern])] | None = Field(
        default=None,
        min_length=1,
        description="The name that the client asks for is one of these; exact, or every name below one. With an "
        "encrypted ClientHello, the outer name counts.",
        examples=["*.example.com"],
    )
    alpn: Annotated[list[Alpn], widened(listed, Alpn, list[Alpn])] | None = Field(
        default=None, min_length=1, description="The client offers one of these protocols.", examples=["h2"]
    )
    pool: PoolName = Field(description="Where the connection goes.", examples=["shop"])


class TcpListener(ConnectionListener):
    """Where a byte stream comes in. Every connection goes to one pool, unread, unless `routes` choose it by what a TLS
    client asks for."""

    heading: ClassVar[str] = "TCP listener"
    where: ClassVar[str] = "[listeners.NAME]"
    example: ClassVar[str] = """
[listeners.db]
bind = "0.0.0.0:5432"
protocol = "tcp"
pool = "postgres"
timeouts = { idle = "4h" }
"""

    protocol: Annotated[Literal["tcp"], PROTOCOL] = Field(description="What is spoken here.")
    routes: list[TlsRoute] = Field(
        default=[],
        description="Routes for TLS connections, tried in this order. With any, a client must begin with a TLS "
        "ClientHello of at most 16 KiB; whoever does not is reset.",
    )
    pool: PoolName | None = Field(
        default=None,
        description="The pool that every connection goes to for which no route matches. Without it, these are reset.",
        examples=["postgres"],
    )
    tls: StreamTls | None = Field(
        default=None, description="How TLS is terminated; without it, it is passed through like everything else."
    )
    timeouts: StreamTimeouts = Field(default=StreamTimeouts(), description="Deadlines towards the client.")

    @model_validator(mode="after")
    def _check_pool(self) -> Self:
        if self.pool is None and not self.routes:
            raise refused("needs a `pool`, or `routes` with pools", "")
        if self.tls is not None and self.routes:
            raise refused("these pass TLS through, and `tls` terminates it", "routes")
        return self

    @property
    def pools(self) -> list[str]:
        """Every pool that connections may go to."""
        return [route.pool for route in self.routes] + ([] if self.pool is None else [self.pool])
