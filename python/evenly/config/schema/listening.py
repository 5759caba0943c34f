"""What every kind of listener has: its addresses, and who may come in."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .table import Table, integer, listed, widened
from .words import BindAddress, Network

Binds = Annotated[list[BindAddress], widened(listed, BindAddress, list[BindAddress])]
Networks = Annotated[list[Network], widened(listed, Network, list[Network])]


class AnyListener(Table):
    """The options that listeners of every protocol share."""

    bind: Binds = Field(
        min_length=1,
        description=(
            'One address or a list. `":8080"` is every IPv4 address of the machine; `"[::]:8080"` is every '
            "IPv6 address, and on Linux every IPv4 address too."
        ),
        examples=["0.0.0.0:8080"],
    )
    protocol: str = Field(description="What is spoken here.")
    deny: Networks = Field(
        default=[],
        description="Networks whose clients are turned away. Behind proxies with `proxy_protocol`, the client's "
        "address counts, not the proxy's.",
        examples=[["192.0.2.0/24"]],
    )


class ProxyProtocol(Table):
    """PROXY protocol headers (versions 1 and 2) in front of what clients send: the client's address then holds for the
    access log, `X-Forwarded-For`, hashing and limits. Short form: the list of networks."""

    heading: ClassVar[str] = "PROXY protocol"
    where: ClassVar[str] = "[listeners.NAME.proxy_protocol]"
    example: ClassVar[str] = """
[listeners.web]
bind = "0.0.0.0:8080"
proxy_protocol = { from = ["10.0.0.0/8"], others = "plain" }
"""

    from_: Networks = Field(
        alias="from",
        min_length=1,
        description="Networks of the proxies that send a header. They must: a connection from there without one, or "
        "with a wrong one, is reset.",
        examples=[["10.0.0.0/8"]],
    )
    others: Literal["refuse", "plain"] = Field(
        default="refuse",
        description='Everybody else: `"refuse"` resets their connections; `"plain"` serves them as themselves, and '
        "takes whatever they send as no header.",
    )


def _proxies(value: object) -> object:
    return {"from": value} if isinstance(value, str | list) else value


ProxyProtocolOrNetworks = Annotated[ProxyProtocol, widened(_proxies, Networks, ProxyProtocol)]


class ConnectionListener(AnyListener):
    """The options that listeners of connections share, HTTP and TCP."""

    max_connections: Annotated[int, integer(1, 10_000_000)] = Field(
        default=10_000, description="Client connections at once; further ones wait in the kernel's queue."
    )
    max_connections_per_client: Annotated[int, integer(1, 10_000_000)] | None = Field(
        default=None,
        description="Connections of one client at once; an IPv6 client is its /64. Further ones are turned away as "
        "`on_deny` says.",
        examples=[100],
    )
    on_deny: Literal["reset", "drop", "tarpit"] = Field(
        default="reset",
        description="How clients are turned away that are in `deny` or have too many connections: "
        '`"reset"` tells them at once; `"drop"` tells them nothing (the reset that ends the connection does not get '
        "past the first router); "
        '`"tarpit"` keeps them waiting for 30 seconds, at most 1,024 for each worker, beyond which they are reset.',
    )
    backlog: Annotated[int, integer(1, 65_535)] = Field(
        default=4096,
        description="Length of the kernel's accept queue, for each worker. The kernel cuts it to `net.core.somaxconn`.",
    )
    proxy_protocol: ProxyProtocolOrNetworks | None = Field(
        default=None, description="Whose PROXY protocol headers are read; without it, nobody's."
    )
