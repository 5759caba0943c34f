"""UDP listeners: datagrams, which sessions hold together."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .listening import AnyListener
from .stream import PROTOCOL
from .table import Table, integer
from .units import Duration, Timeout
from .words import PoolName


class DatagramTimeouts(Table):
    """Deadlines of a UDP listener."""

    heading: ClassVar[str] = "UDP listener: timeouts"
    where: ClassVar[str] = "[listeners.NAME.timeouts]"

    idle: Timeout = Field(
        default=Duration.parse("60s"),
        description="A session on which no datagram has come from either side. It ends up to a second later.",
    )


class UdpListener(AnyListener):
    """Where datagrams come in. Those of one client address and port are a session: they go to one endpoint, and its
    answers, however many, go back from the address that the client asked."""

    heading: ClassVar[str] = "UDP listener"
    where: ClassVar[str] = "[listeners.NAME]"
    example: ClassVar[str] = """
[listeners.dns]
bind = "0.0.0.0:53"
protocol = "udp"
pool = "resolvers"
responses = 1
timeouts = { idle = "5s" }
"""

    protocol: Annotated[Literal["udp"], PROTOCOL] = Field(description="What is spoken here.")
    pool: PoolName = Field(description="The pool that every session goes to.", examples=["resolvers"])
    max_sessions: Annotated[int, integer(1, 10_000_000)] = Field(
        default=100_000,
        description="Sessions at once. Datagrams of further clients are dropped and counted; those with a session go "
        "on. A worker also needs as many sockets as its busiest endpoint has sessions; all workers together may have a "
        "quarter of the descriptor limit.",
    )
    max_sessions_per_client: Annotated[int, integer(1, 10_000_000)] | None = Field(
        default=None,
        description="Sessions of one client at once; an IPv6 client is its /64. Further ones are dropped and counted.",
        examples=[100],
    )
    responses: Annotated[int, integer(1, 1_000_000)] | None = Field(
        default=None,
        description="Answers after which a session ends, such as 1 for DNS. Without it, only silence ends one. With "
        "it, an endpoint that has not answered within `timeouts.idle` has failed: the session leaves it, and outlier "
        "detection and the circuit breaker are told.",
        examples=[1],
    )
    timeouts: DatagramTimeouts = Field(default=DatagramTimeouts(), description="Deadlines.")
