"""Circuit breakers of a pool and its endpoints: who fails too often is spared requests, and nobody gets too many."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from .table import Table, integer, refused, widened
from .units import Duration, Percent, durations


class Thresholds(Table):
    """When a circuit opens, and what closes it again."""

    failure_rate: Percent = Field(
        default=Percent(50),
        description='Share of the requests in `window` that must have failed for the circuit to open. `"0%"` turns '
        "that off, and only the limits hold.",
    )
    window: Annotated[Duration, durations("1s", "1h")] = Field(
        default=Duration.parse("10s"), description="How far back requests count."
    )
    minimum_requests: Annotated[int, integer(1, 1_000_000)] = Field(
        default=20, description="Requests in `window` without which the circuit does not open."
    )
    base_open_time: Annotated[Duration, durations("100ms", "24h")] = Field(
        default=Duration.parse("5s"),
        description="How long it is open. Each time that it opens again without having closed doubles that.",
    )
    max_open_time: Annotated[Duration, durations("100ms", "24h")] = Field(
        default=Duration.parse("60s"), description="How long it is open at most; not below `base_open_time`."
    )
    half_open_requests: Annotated[int, integer(1, 1_000)] = Field(
        default=5,
        description="Requests that a half-open circuit lets through: when all of them succeed it closes, when one "
        "fails it opens again.",
    )

    @model_validator(mode="after")
    def _check_open_times(self) -> Self:
        if self.max_open_time < self.base_open_time:
            raise refused(f"is below `base_open_time`, which is {self.base_open_time}", "max_open_time")
        return self


class CircuitOptions(Thresholds):
    """When a pool is spared all requests, and how many it gets at once. Short form: `circuit_breaker = true`.

    A request has failed when its client gets a status from 500 on from an endpoint, or when in the end no endpoint
    could be connected to or answered in time (tcp: when no endpoint could be connected to). While the circuit is open,
    requests are answered 503 (`circuit-open`) with `Retry-After`, or go to the pool's `fallback`.
    """

    heading: ClassVar[str] = "Circuit breaker"
    where: ClassVar[str] = "[pools.NAME.circuit_breaker]"
    example: ClassVar[str] = """
[pools.app]
endpoints = ["10.0.0.1:9000", "10.0.0.2:9000"]
circuit_breaker = { failure_rate = "30%", minimum_requests = 50, max_requests = 400 }
"""

    max_requests: Annotated[int, integer(1, 10_000_000)] | None = Field(
        default=None,
        description="Requests (tcp: connections, udp: sessions) that the pool gets at once, over all workers and "
        "endpoints. What is above waits in the pool's `queue`; without one it is answered 503 (`pool-full`).",
        examples=[400],
    )


class EndpointCircuitOptions(Thresholds):
    """When a single endpoint is spared requests, and how many it gets at once. Short form:
    `endpoint_circuit_breaker = true`.

    Each try at the endpoint counts, also one that a retry made good. It has failed when its answer is a status from 500
    on, or when the endpoint could not be connected to or did not answer in time or properly (tcp: when it could not be
    connected to). While the circuit is open the endpoint is not picked, nor asked by a retry; it stays healthy.
    """

    heading: ClassVar[str] = "Circuit breaker of endpoints"
    where: ClassVar[str] = "[pools.NAME.endpoint_circuit_breaker]"
    example: ClassVar[str] = """
[pools.app]
endpoints = ["10.0.0.1:9000", "10.0.0.2:9000", "10.0.0.3:9000"]
endpoint_circuit_breaker = { failure_rate = "30%", max_requests = 100, max_pending = 10 }
"""

    max_requests: Annotated[int, integer(1, 10_000_000)] | None = Field(
        default=None,
        description="Requests (tcp: connections, udp: sessions) that an endpoint gets at once, over all workers. Where "
        "it has `max_connections` of its own, the lesser of both holds. What is above goes to others.",
        examples=[100],
    )
    max_pending: Annotated[int, integer(1, 10_000_000)] | None = Field(
        default=None,
        description="Of these, how many may wait for a connection to the endpoint at once: one that takes long to "
        "accept them does not collect more. What is above goes to others.",
        examples=[10],
    )
    max_open: Percent = Field(
        default=Percent(50),
        description="At most this share of a pool's endpoints is open, half-open or ejected at once for a circuit to "
        "open. One always may be, and the last one that serves never is.",
    )


def _widen(value: object) -> object:
    # `false` is the same as leaving it out, which is what a switch should say.
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


CircuitBreaker = Annotated[
    CircuitOptions | None, widened(_widen, bool, CircuitOptions | None, "true, false or a table")
]
EndpointCircuitBreaker = Annotated[
    EndpointCircuitOptions | None, widened(_widen, bool, EndpointCircuitOptions | None, "true, false or a table")
]
