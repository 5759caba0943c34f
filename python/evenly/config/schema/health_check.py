"""Active health checks of a pool."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag

from .table import Bounds, Matching, Table, integer, listed, one_of, widened, written
from .units import Duration, Percent, Timeout, durations
from .words import FieldValue, Method

_TYPE = one_of("http", "grpc", "tcp", "udp", "dns")
# A check costs a connection, or a round trip at least; twenty a second for each endpoint is plenty.
_SHORTEST = Duration.parse("50ms")


@written('a status or a range of them, such as 200 or "200-399"', r"^[1-5]\d\d(-[1-5]\d\d)?$")
@dataclass(frozen=True, order=True, slots=True)
class StatusRange:
    """Statuses from `first` to `last`, both included."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"([1-5]\d\d)(?:-([1-5]\d\d))?", text, re.ASCII)
        if match is None:
            raise ValueError("statuses go from 100 to 599")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise ValueError(f'the range is empty; write "{last}-{first}"')
        return cls(first, last)

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_Status = Annotated[StatusRange, BeforeValidator(_number_as_text, json_schema_input_type=int | StatusRange)]
Statuses = Annotated[
    list[_Status], BeforeValidator(listed, json_schema_input_type=int | StatusRange | list[int | StatusRange])
]


Target = Annotated[str, Matching(r"/[\x21-\x22\x24-\x7e]*", 'a path such as "/healthz"')]


def _half(validated: dict[str, Any]) -> Duration:
    interval: Duration = validated["interval"]
    return max(Duration(interval.milliseconds // 2), _SHORTEST)


class _Check(Table):
    type: str = Field(description="What is asked.")
    interval: Annotated[Duration, durations("50ms", "24h")] = Field(
        default=Duration.parse("2s"), description="Between two checks of a healthy endpoint."
    )
    unhealthy_interval: Annotated[Duration, durations("50ms", "24h")] = Field(
        default_factory=_half,
        description=(
            "Between two checks of an endpoint that is not healthy, or whose last check contradicted its "
            "state. By itself half of `interval`."
        ),
    )
    jitter: Annotated[Percent, Bounds(Percent(0), Percent(50), "a share")] = Field(
        default=Percent(10),
        description=(
            "Random share of the interval that is added or taken, so that the checks of many endpoints and "
            "nodes spread out."
        ),
    )
    timeout: Timeout = Field(default=Duration.parse("1s"), description="For one check, from connect to verdict.")
    unhealthy_after: Annotated[int, integer(1, 1000)] = Field(
        default=3, description="Failures in a row that make an endpoint unhealthy."
    )
    healthy_after: Annotated[int, integer(1, 1000)] = Field(
        default=2, description="Successes in a row that make it healthy again."
    )
    port: Annotated[int, integer(1, 65_535)] | None = Field(
        default=None, description="The port to check, if it is not the endpoint's own."
    )


class HttpCheck(_Check):
    """Asks each endpoint by HTTP, in the version of the pool's `protocol`.

    Short forms: `health_check = "/healthz"`, and `"http"` for the path `/`.
    """

    heading: ClassVar[str] = "HTTP health check"
    where: ClassVar[str] = "[pools.NAME.health_check]"
    example: ClassVar[str] = """
[pools.app]
endpoints = ["10.0.0.1:9000"]
health_check = { type = "http", path = "/healthz", interval = "2s", expected_status = [200, "204-206"] }
"""

    type: Annotated[Literal["http"], _TYPE] = Field(description="What is asked: an HTTP request.")
    path: Target = Field(default="/", description="What is asked for; may have a query.")
    method: Method = Field(default="GET", description="The request's method.")
    host: FieldValue | None = Field(default=None, description="The request's `Host`; by itself the endpoint's address.")
    expected_status: Statuses = Field(
        default=[StatusRange(200, 399)],
        min_length=1,
        description="Statuses that pass: one, a range, or a list of both.",
    )
    expected_body: str | None = Field(
        default=None, min_length=1, max_length=1024, description="Text that must be in the first 64 KiB of the body."
    )
    reuse_connection: bool = Field(
        default=True,
        description=(
            "Whether the connection of a check that passed serves the next ones, for up to a minute, so that an "
            "endpoint that accepts no connections any more is found out after that time. An endpoint that is not "
            "healthy gets a new one each time, and so do all where the pool keeps no connections itself "
            "(`keepalive.max_idle = 0`) or checks are a minute or more apart."
        ),
    )


class GrpcCheck(_Check):
    """Asks gRPC's health service (`grpc.health.v1.Health/Check`) by HTTP/2. Short form: `health_check = "grpc"`."""

    heading: ClassVar[str] = "gRPC health check"
    where: ClassVar[str] = "[pools.NAME.health_check]"
    example: ClassVar[str] = """
[pools.cart]
endpoints = ["10.0.0.1:50051"]
protocol = "h2"
health_check = { type = "grpc", service = "shop.Cart" }
"""

    type: Annotated[Literal["grpc"], _TYPE] = Field(description="What is asked: a call of the health service.")
    service: Annotated[str, Matching(r"[\x21-\x7e]{0,127}", "the name of a service")] = Field(
        default="",
        description="The service whose health is asked for; by itself that of the endpoint as a whole. Only `SERVING` "
        "passes.",
        examples=["shop.Cart"],
    )


class TcpCheck(_Check):
    """Connects to each endpoint, and perhaps exchanges a text. Short form: `health_check = "tcp"`."""

    heading: ClassVar[str] = "TCP health check"
    where: ClassVar[str] = "[pools.NAME.health_check]"
    example: ClassVar[str] = """
[pools.cache]
endpoints = ["10.0.0.1:6379"]
health_check = { type = "tcp", send = "PING\\r\\n", expect = "+PONG" }
"""

    type: Annotated[Literal["tcp"], _TYPE] = Field(description="What is asked: a connection.")
    send: str | None = Field(default=None, min_length=1, max_length=1024, description="Text to send once connected.")
    expect: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="Text that must then be received. Without it, connecting passes.",
    )


class UdpCheck(_Check):
    """Sends each endpoint a datagram and waits for one that comes back."""

    heading: ClassVar[str] = "UDP health check"
    where: ClassVar[str] = "[pools.NAME.health_check]"
    example: ClassVar[str] = """
[pools.game]
endpoints = ["10.0.0.1:27015"]
health_check = { type = "udp", send = "ping", expect = "pong" }
"""

    type: Annotated[Literal["udp"], _TYPE] = Field(description="What is asked: a datagram.")
    send: str = Field(min_length=1, max_length=1024, description="Text to send.", examples=["ping"])
    expect: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="Text that must be in the answer. Without it, any answer passes.",
    )


# RFC 1035, RFC 3596 and the IANA registry of DNS parameters.
_RECORDS = {"A": 1, "NS": 2, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33}
_RCODES = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}

Rcode = Literal["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"]


class DnsCheck(_Check):
    """Asks each endpoint, which is a name server, over UDP. Short form: `health_check = "dns"`."""

    heading: ClassVar[str] = "DNS health check"
    where: ClassVar[str] = "[pools.NAME.health_check]"
    example: ClassVar[str] = """
[pools.resolvers]
endpoints = ["10.0.0.1:53"]
health_check = { type = "dns", name = "example.com", record = "AAAA" }
"""

    type: Annotated[Literal["dns"], _TYPE] = Field(description="What is asked: a question.")
    name: Annotated[
        str, Matching(r"(?=.{1,253}$)(\.|[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?)", "a domain name")
    ] = Field(default=".", description="The name that is asked for; by itself the root.", examples=["example.com"])
    record: Literal["A", "NS", "SOA", "MX", "TXT", "AAAA", "SRV"] = Field(
        default="NS", description="The type of records that is asked for."
    )
    expected_rcode: Annotated[list[Rcode], widened(listed, Rcode, list[Rcode])] = Field(
        default=["NOERROR"], min_length=1, description="Response codes that pass: one, or a list."
    )

    @property
    def record_number(self) -> int:
        """As DNS writes it."""
        return _RECORDS[self.record]

    @property
    def rcode_numbers(self) -> list[int]:
        """As DNS writes them."""
        return [_RCODES[name] for name in self.expected_rcode]


def _widen(value: object) -> object:
    if isinstance(value, str):
        return {"type": "http", "path": value} if value.startswith("/") else {"type": value}
    return value


def _tag(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"<{kind}>" if kind in {"grpc", "tcp", "udp", "dns"} else "<http>"


HealthCheck = Annotated[
    Annotated[HttpCheck, Tag("<http>")]
    | Annotated[GrpcCheck, Tag("<grpc>")]
    | Annotated[TcpCheck, Tag("<tcp>")]
    | Annotated[UdpCheck, Tag("<udp>")]
    | Annotated[DnsCheck, Tag("<dns>")],
    Discriminator(_tag),
    widened(
        _widen,
        str,
        HttpCheck | GrpcCheck | TcpCheck | UdpCheck | DnsCheck,
        'a path such as "/healthz", a type such as "tcp", or a table',
    ),
]
