"""Pools: interchangeable endpoints, the balancer that picks one, and how their health is judged."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from .affinity import Affinity
from .circuit import CircuitBreaker, EndpointCircuitBreaker
from .concurrency import AdaptiveConcurrency
from .discovery import Discovery
from .health_check import HealthCheck
from .outlier import OutlierDetection
from .pool_tls import PoolTls, ServerName
from .retry import Hedge, Queue, Retry, RetryBudget, RetryOrAttempts
from .table import Bounds, Table, integer, listed, refused, table_like, widened, written
from .units import Duration, Percent, Timeout, durations
from .words import EndpointAddress, Name, PoolName

Balance = Literal[
    "round-robin", "least-requests", "random", "two-choices", "peak-ewma", "ip-hash", "ring-hash", "maglev"
]
KEYED_BALANCERS = ("ring-hash", "maglev")
HASH_BALANCERS = ("ip-hash", *KEYED_BALANCERS)
_PLAIN_SOURCES = ("client_ip", "host", "path", "uri")
_NAMED_SOURCES = ("header", "cookie", "query")


@written(
    'one of "client_ip", "host", "path", "uri", "header:NAME", "cookie:NAME" or "query:NAME"',
    r"^(client_ip|host|path|uri|(header|cookie|query):.+)$",
)
@dataclass(frozen=True, order=True, slots=True)
class HashKey:
    """What a hash balancer hashes; `name` belongs to header, cookie and query."""

    source: str
    name: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        source, colon, name = text.partition(":")
        if source in _PLAIN_SOURCES and not colon:
            return cls(source)
        if source in _NAMED_SOURCES and not name:
            raise ValueError(f'a name is missing; write "{source}:NAME"')
        if source not in _NAMED_SOURCES or any(character <= " " or character == "\x7f" for character in name):
            raise ValueError("")
        return cls(source, name)

    def __str__(self) -> str:
        return self.source if self.name is None else f"{self.source}:{self.name}"


class Endpoint(Table):
    """One endpoint of a pool. Short form: just its address."""

    heading: ClassVar[str] = "Endpoint"
    where: ClassVar[str] = "[pools.NAME] endpoints = […]"
    example: ClassVar[str] = """
[pools.app]
endpoints = [
  "10.0.0.1:9000",
  { address = "10.0.0.2:9000", weight = 3, max_connections = 200 },
  { address = "10.0.1.1:9000", zone = "b", priority = 1 },
  { address = "10.0.2.1:9000", backup = true },
]
"""

    address: EndpointAddress = Field(
        description="Where it listens. A name is looked up when the file is read, and each address found becomes an "
        "endpoint with this weight; `evenly reload` looks it up again. `https://HOST:PORT` turns the pool's `tls` on; "
        "then every endpoint is written so, or the pool has the table.",
        examples=["10.0.0.1:9000"],
    )
    weight: Annotated[int, integer(0, 65_535)] = Field(
        default=1, description="Share relative to the other endpoints; 0 gets no traffic."
    )
    backup: bool = Field(default=False, description="Used only when no endpoint that is not a backup can be.")
    max_connections: Annotated[int, integer(1, 1_000_000)] | None = Field(
        default=None,
        description="Requests (tcp: connections) that it gets at once, over all workers: each takes one connection. "
        "What is above goes to the others; when all are full it is answered 503 (`no-endpoint-full`).",
        examples=[200],
    )
    zone: Name | None = Field(
        default=None,
        description="The failure domain that it is in. Those in the node's own zone go before those in others; without "
        "a zone it is as near as the node's own.",
        examples=["a"],
    )
    priority: Annotated[int, integer(0, 255)] = Field(
        default=0,
        description="0 is asked first. A higher one gets, in proportion, what lower ones lack; see `overprovisioning`. "
        "A backup has none.",
    )

    sni: ServerName | None = Field(
        default=None,
        description="The name that it is asked for under the pool's `tls`, and that its certificate has to be for.",
        examples=["a.app.internal"],
    )

    @model_validator(mode="after")
    def _check_priority(self) -> Self:
        if self.backup and self.priority > 0:
            raise refused("a backup is asked after every priority; leave one of the two out", "priority")
        return self


def _widen(value: object) -> object:
    return {"address": value} if isinstance(value, str) else value


EndpointOrAddress = Annotated[Endpoint, widened(_widen, str, Endpoint)]
Endpoints = Annotated[list[EndpointOrAddress], widened(listed, EndpointOrAddress, list[EndpointOrAddress])]


def _client_ip_if_keyed(validated: dict[str, Any]) -> HashKey | None:
    return HashKey("client_ip") if validated["balance"] in KEYED_BALANCERS else None


class PoolTimeouts(Table):
    """Deadlines towards the endpoints. Every wait ends; there is no way to turn one off."""

    heading: ClassVar[str] = "Pool: timeouts"
    where: ClassVar[str] = "[pools.NAME.timeouts]"

    connect: Timeout = Field(default=Duration.parse("5s"), description="For the TCP connection.")
    response: Timeout = Field(
        default=Duration.parse("60s"),
        description="From the last byte of the request sent to the last byte of the final response's head received, "
        "whatever interim responses come before it; then 504.",
    )
    request: Timeout | None = Field(
        default=None,
        description="For the whole request until the head of its final response: upload, all tries and the pauses "
        "between them; then 504. By itself only the other deadlines hold.",
        examples=["10s"],
    )
    idle: Timeout = Field(default=Duration.parse("60s"), description="Between two reads or writes of a body.")
    tunnel_idle: Timeout = Field(
        default=Duration.parse("1h"), description="No byte in either direction of an upgraded connection (WebSocket)."
    )


class KeepAlive(Table):
    """Idle connections to endpoints that are kept for reuse, counted for each endpoint and worker."""

    heading: ClassVar[str] = "Pool: keepalive"
    where: ClassVar[str] = "[pools.NAME.keepalive]"

    max_idle: Annotated[int, integer(0, 65_535)] = Field(
        default=256, description="How many are kept; the one that has rested longest goes first. 0 turns reuse off."
    )
    idle_timeout: Timeout = Field(
        default=Duration.parse("30s"),
        description="For how long one is kept. Keep it below the endpoints' own, so that they never close first.",
    )


class PoolHttp2(Table):
    """Connections by HTTP/2 to endpoints, which requests share; counted for each endpoint and worker."""

    heading: ClassVar[str] = "Pool: http2"
    where: ClassVar[str] = "[pools.NAME.http2]"

    max_streams: Annotated[int, integer(1, 10_000)] = Field(
        default=100,
        description="Requests that one connection carries at once. An endpoint that allows fewer gets fewer; the rest "
        "go to another connection.",
    )
    max_connections: Annotated[int, integer(1, 10_000)] = Field(
        default=64,
        description="How many connections there may be. When all are full, a request waits for as long as connecting "
        "may take.",
    )
    ping_after: Timeout = Field(
        default=Duration.parse("6m"),
        description="A connection with requests under way on which nothing came for so long is asked for a sign of "
        "life (PING), and lost if there is none within 10 seconds. Servers of gRPC take more than one such question in "
        "five minutes as abuse.",
    )


def _http2_if_spoken(validated: dict[str, Any]) -> PoolHttp2 | None:
    return PoolHttp2() if validated["protocol"] in ("h2", "auto") else None


class Pool(Table):
    """Interchangeable endpoints, the balancer that picks one, and how their health is judged."""

    heading: ClassVar[str] = "Pool"
    where: ClassVar[str] = "[pools.NAME]"
    example: ClassVar[str] = """
[pools.app]
endpoints = ["10.0.0.1:9000", { address = "10.0.0.2:9000", weight = 3 }]
balance = "least-requests"
health_check = "/healthz"
panic_threshold = "30%"

[pools.sessions]
endpoints = ["10.0.1.1:9000", "10.0.1.2:9000"]
balance = "maglev"
hash_key = "cookie:session"
hash_balance_factor = 1.25
"""

    endpoints: Endpoints = Field(
        default=[],
        max_length=65_535,
        description=(
            "Addresses, or tables. An address stands in a pool once. An empty list is allowed: every request "
            "is then answered 503. Required without `discovery`."
        ),
        examples=[["10.0.0.1:9000"]],
    )
    discovery: Discovery | None = Field(
        default=None,
        description="A source of further endpoints, by its `type`. Those of `endpoints` are always there; of an "
        "address that is both written and found, what is written holds.",
        examples=[{"type": "dns", "name": "app.internal", "port": 9000}],
    )
    balance: Balance = Field(default="round-robin", description="The balancer.")
    hash_key: HashKey | None = Field(
        default_factory=_client_ip_if_keyed,
        description='What `"ring-hash"` and `"maglev"` hash, by itself `"client_ip"`; not allowed with the others.',
        examples=["header:X-User"],
    )
    hash_balance_factor: Annotated[float, Bounds(1.01, 100.0, "a number")] | None = Field(
        default=None,
        description=(
            "Bounded load for the hash balancers: no endpoint gets more than this many times the mean load; "
            "what is above goes to the next one. Two decimals count."
        ),
        examples=[1.25],
    )
    affinity: Annotated[Affinity, table_like('a table such as { cookie = "evenly" }')] | None = Field(
        default=None,
        description="How clients are known again, so that each stays with its endpoint; not with the hash balancers, "
        "which send a key to its endpoint by themselves.",
        examples=[{"cookie": "evenly"}],
    )
    health_check: HealthCheck | None = Field(
        default=None, description="Active checks; without them every endpoint counts as healthy.", examples=["/healthz"]
    )
    outlier_detection: OutlierDetection = Field(
        default=None,
        description="Judgement by live traffic: endpoints that fail or are slow lose their traffic for a while. `true` "
        "takes every default.",
        examples=[True],
    )
    circuit_breaker: CircuitBreaker = Field(
        default=None,
        description="Spares the whole pool its requests for a while when too many fail, and limits how many it gets at "
        "once. `true` takes every default.",
        examples=[True],
    )
    endpoint_circuit_breaker: EndpointCircuitBreaker = Field(
        default=None,
        description="Spares a single endpoint its requests for a while when too many of them fail, and limits how many "
        "it gets at once. `true` takes every default.",
        examples=[True],
    )
    adaptive_concurrency: AdaptiveConcurrency = Field(
        default=None,
        description="Finds out from response times how many requests the pool can take at once, and gives it no more. "
        "`true` takes every default.",
        examples=[True],
    )
    slow_start: Annotated[Duration, durations("100ms", "24h")] | None = Field(
        default=None,
        description="For how long the share of an endpoint grows, from a tenth, once it begins to serve or serves "
        "again.",
        examples=["30s"],
    )
    panic_threshold: Percent = Field(
        default=Percent(0),
        description=(
            "When fewer than this share of endpoints is healthy and not ejected, all that are not in maintenance get "
            'traffic: a check that fails everywhere is more likely wrong than right. `"0%"` turns it off.'
        ),
    )
    overprovisioning: Annotated[float, Bounds(1.0, 100.0, "a number")] = Field(
        default=1.4,
        description="How soon endpoints of one zone and priority give traffic to the next ones: they keep all of it "
        "until less than 1 / 1.4 = 71 % of their weight is healthy, then 1.4 times the healthy share. 1.0 gives up "
        "what is lost at once. Two decimals count.",
    )
    fallback: PoolName | None = Field(
        default=None,
        description="The pool that takes over while none of this one's endpoints can be picked, its circuit is open, "
        "or it is full and has no `queue`. It may have one too. Not for UDP.",
        examples=["other-region"],
    )
    protocol: Literal["http1", "h2", "auto"] = Field(
        default="http1",
        description='What is spoken to the endpoints: HTTP/1.1, or `"h2"`: HTTP/2, agreed on under TLS (ALPN); '
        'without it they must know it by themselves (prior knowledge). `"auto"`: under TLS both are offered, and each '
        "endpoint chooses whenever a connection is made. For routes only.",
    )
    http2: PoolHttp2 | None = Field(
        default_factory=_http2_if_spoken,
        description='Connections by HTTP/2; goes with `protocol = "h2"` and `"auto"`, which bring every default.',
        examples=[{"max_streams": 100}],
    )
    timeouts: PoolTimeouts = Field(default=PoolTimeouts(), description="Deadlines towards the endpoints.")
    keepalive: KeepAlive = Field(default=KeepAlive(), description="Idle connections kept for reuse.")
    retry: RetryOrAttempts = Field(
        default=Retry(), description="When a request is tried again, unless its route says otherwise.", examples=[3]
    )
    retry_budget: RetryBudget = Field(
        default=RetryBudget(), description="How many requests may be, over all routes to this pool."
    )
    hedge: Hedge = Field(
        default=None,
        description="When a request that takes longer than most is sent to a second endpoint as well; the first good "
        "answer counts. `true` takes every default.",
        examples=[True],
    )
    proxy_protocol: Literal["v1", "v2"] | None = Field(
        default=None,
        description=(
            "The PROXY protocol header that tells endpoints the client's address: in front of each connection, and for "
            'UDP (only `"v2"`) of each datagram. Over HTTP a connection then serves one client connection only, and is '
            "kept for that. Health checks say that they are nobody's (LOCAL, UNKNOWN)."
        ),
        examples=["v2"],
    )
    source_address: Literal["client"] | None = Field(
        default=None,
        description=(
            'Whose address endpoints see; by itself the node\'s own. `"client"`: connections and datagrams come from '
            "the client's, and the network must bring the answers back here. Over HTTP a connection then serves one "
            "client only. Needs CAP_NET_ADMIN or CAP_NET_RAW; health checks come from the node."
        ),
        examples=["client"],
    )
    tls: PoolTls | None = Field(
        default=None,
        description="TLS with the endpoints; not for pools of UDP listeners.",
        examples=[{"ca": "internal-root.pem"}],
    )
    queue: Queue | None = Field(
        default=None,
        description="Where requests wait when every endpoint is full; by itself they are answered 503 at once.",
        examples=[{"size": 100, "timeout": "5s"}],
    )

    @model_validator(mode="after")
    def _check_endpoints(self) -> Self:
        if self.discovery is None and "endpoints" not in self.model_fields_set:
            raise refused("required key is missing: a pool has `endpoints`, `discovery` or both", "endpoints")
        return self

    @model_validator(mode="after")
    def _turn_tls_on(self) -> Self:
        if self.tls is not None:
            return self
        https = [endpoint.address.is_https for endpoint in self.endpoints]
        if any(https) and not all(https):
            plain = self.endpoints[https.index(False)].address
            raise refused(
                f"{plain} is written without `https://`, and others with it; give the pool `tls`", "endpoints"
            )
        if not any(https) and any(endpoint.sni is not None for endpoint in self.endpoints):
            raise refused("`sni` has no effect without the pool's `tls`", "endpoints")
        return self.model_copy(update={"tls": PoolTls()}) if any(https) else self

    @model_validator(mode="after")
    def _check_protocol(self) -> Self:
        if self.protocol == "http1" and self.http2 is not None:
            raise refused('goes with protocol = "h2" or "auto", and this is "http1"', "http2")
        if self.protocol == "auto" and self.tls is None:
            message = (
                '"auto" needs TLS, under which the endpoints choose: write `https://` in front of their addresses, '
                'or give the pool `tls`; without TLS it is "http1" or "h2"'
            )
            raise refused(message, "protocol")
        for option in ("proxy_protocol", "source_address"):
            if self.protocol != "http1" and getattr(self, option) is not None:
                message = f'says whose a connection is, and with protocol = "{self.protocol}" clients share them'
                raise refused(message, option)
        return self

    @model_validator(mode="after")
    def _check_ejection_times(self) -> Self:
        outlier = self.outlier_detection
        if outlier is not None and outlier.max_ejection_time < outlier.base_ejection_time:
            raise refused("max_ejection_time is less than base_ejection_time", "outlier_detection")
        return self

    @model_validator(mode="after")
    def _check_hedge(self) -> Self:
        if self.hedge is not None and self.retry.attempts == 1:
            raise refused("the second try is one of `retry.attempts`, and there is only one", "hedge")
        return self

    @model_validator(mode="after")
    def _check_hash_options(self) -> Self:
        if self.hash_key is not None and self.balance not in KEYED_BALANCERS:
            raise refused(f'goes with balance = "ring-hash" or "maglev", and this is "{self.balance}"', "hash_key")
        if self.hash_balance_factor is not None and self.balance not in HASH_BALANCERS:
            raise refused(f'goes with the hash balancers, and this is "{self.balance}"', "hash_balance_factor")
        if self.affinity is not None and self.balance in HASH_BALANCERS:
            raise refused(
                f'goes with the other balancers: "{self.balance}" sends a key to its endpoint by itself', "affinity"
            )
        return self
