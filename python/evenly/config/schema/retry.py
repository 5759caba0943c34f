"""Trying again: after which failures, how often, and how much of it a pool can afford."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from .health_check import StatusRange
from .table import Bounds, Table, alternatives, expected, integer, listed, refused, widened
from .units import Duration, Percent, Size, Timeout, durations, sizes

CAUSES = ("connect-failure", "reset", "timeout")
# Statuses of gRPC by number, where another endpoint may have a better answer.
CALLS = {
    "grpc-cancelled": 1,
    "grpc-deadline-exceeded": 4,
    "grpc-resource-exhausted": 8,
    "grpc-internal": 13,
    "grpc-unavailable": 14,
}
# A class of statuses, as everybody writes it.
_CLASSES = {"4xx": "400-499", "5xx": "500-599"}
_FAILED = Bounds(StatusRange(400, 400), StatusRange(599, 599), "a status")


def _read_condition(value: object) -> object:
    """A cause stays a word; everything else has to be a status, a range of them, or a class."""
    if value in (*CAUSES, *CALLS) or isinstance(value, StatusRange):
        return value
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str):
        try:
            statuses = StatusRange.parse(_CLASSES.get(text, text))
        except ValueError:
            pass
        else:
            if statuses.first >= 400:
                return statuses
            raise expected(_CONDITION, "only statuses from 400 on say that something failed")
    raise expected(_CONDITION)


_CONDITION = f'{alternatives([*CAUSES, *CALLS, *_CLASSES])}, a status such as 503, or a range such as "502-504"'
Condition = Annotated[
    Literal[
        "connect-failure",
        "reset",
        "timeout",
        "grpc-cancelled",
        "grpc-deadline-exceeded",
        "grpc-resource-exhausted",
        "grpc-internal",
        "grpc-unavailable",
    ]
    | StatusRange,
    BeforeValidator(_read_condition, json_schema_input_type=int | str),
]
Conditions = Annotated[list[Condition], BeforeValidator(listed, json_schema_input_type=int | str | list[int | str])]


def _at_least_the_first(validated: dict[str, Any]) -> Duration:
    return max(Duration(validated["backoff"].milliseconds * 10), Duration(1))


class Retry(Table):
    """When a request that failed at an endpoint is tried again. Short form: just the number of attempts.

    A request is sent twice only if the first send provably did nothing, its method is idempotent (GET, HEAD, OPTIONS,
    TRACE, PUT, DELETE), or `non_idempotent` or a status of gRPC in `on` says so; and only while nothing of a response
    went to the client.
    """

    heading: ClassVar[str] = "Retry"
    where: ClassVar[str] = "[pools.NAME.retry], [routes.retry]"
    example: ClassVar[str] = """
[pools.app]
endpoints = ["10.0.0.1:9000", "10.0.0.2:9000", "10.0.0.3:9000"]
retry = { attempts = 3, on = ["connect-failure", "reset", "timeout", "502-504"], try_timeout = "2s" }

[[routes]]
path = "/payments/*"
pool = "app"
retry = 1
"""

    attempts: Annotated[int, integer(1, 10)] = Field(
        default=2,
        description="How often a request is tried at most, the first time included; 1 turns retries off. Each try goes "
        "to an endpoint that was not tried yet, as long as there is one.",
    )
    on: Conditions = Field(
        default=["connect-failure", "reset"],
        description=(
            'What is followed by another try: `"connect-failure"` (refused, or not in time), `"reset"` (the connection '
            'ended before a byte of the response), `"timeout"` (no response head in time), and statuses: `503`, '
            '`"502-504"`, `"5xx"`; and for calls of gRPC that end with nothing but a status `"grpc-unavailable"`, '
            '`"grpc-resource-exhausted"`, `"grpc-internal"`, `"grpc-cancelled"`, `"grpc-deadline-exceeded"`: naming '
            "one says that calls may be made twice. A 425 (Too Early) is never tried again. "
            "The last try's response is the client's, whatever its status."
        ),
        examples=[["connect-failure", "reset", "502-504"]],
    )
    non_idempotent: bool = Field(
        default=False,
        description="Whether requests are sent twice whose method is not idempotent, such as POST. Only for "
        "applications that recognise a repeated request.",
    )
    body: Annotated[Size, sizes("0B", "16MiB")] = Field(
        default=Size.parse("64KiB"),
        description=(
            "A request with a body is kept up to this size, head included, to be sent again; a larger one is sent "
            "once. Nothing is kept of requests that are never sent twice."
        ),
    )
    try_timeout: Timeout | None = Field(
        default=None,
        description="For one try: from the last byte of the request sent to the last byte of the response head "
        "received. By itself the response timeout alone. Counted in steps of 50 ms.",
        examples=["2s"],
    )
    backoff: Annotated[Duration, durations("0s", "1h")] = Field(
        default=Duration.parse("25ms"),
        description=(
            "The longest pause before a retry; the pause is a random part of it. The first retry on another endpoint "
            "is made at once. From retry to retry it doubles."
        ),
    )
    max_backoff: Annotated[Duration, durations("0s", "1h")] = Field(
        default_factory=_at_least_the_first,
        description="What it doubles up to. By itself 10 × `backoff`. An endpoint's `Retry-After` makes the pause "
        "longer when that endpoint is the only one, if it fits the request's deadline.",
    )

    @model_validator(mode="after")
    def _check_backoff(self) -> Self:
        if self.max_backoff < self.backoff:
            raise refused(f"is below `backoff`, which is {self.backoff}", "max_backoff")
        return self


RetryOrAttempts = Annotated[
    Retry,
    widened(
        lambda v: {"attempts": v} if isinstance(v, int) and not isinstance(v, bool) else v,
        int,
        Retry,
        "a number of attempts or a table",
    ),
]


class HedgeOptions(Table):
    """When a request gets a second try beside the first, so that one slow response is not what its client waits for.
    Short form: `hedge = true`.

    A request that takes longer than most is sent to another endpoint as well; the first good answer is the client's,
    and the other try is cancelled: its connection is closed, and no failure is counted. Only requests are hedged whose
    method is idempotent and whose body, if any, is at hand; never those that ask for an upgrade, and never those whose
    client belongs to an endpoint (`affinity`). The second try is one of the retry policy's `attempts` and is paid for
    by the retry budget.
    """

    heading: ClassVar[str] = "Hedge"
    where: ClassVar[str] = "[pools.NAME.hedge]"
    example: ClassVar[str] = """
[pools.search]
endpoints = ["10.0.0.1:9000", "10.0.0.2:9000", "10.0.0.3:9000"]
hedge = { percentile = 95, min_delay = "10ms" }
retry_budget = { share = "10%" }
"""

    percentile: Annotated[float, Bounds(50.0, 99.9, "a number")] = Field(
        default=95.0,
        description="How many of a hundred requests are not late: the delay is this percentile of the pool's response "
        "times of the last 10 to 20 seconds, measured by each worker. Until 100 are known nothing is hedged. One "
        "decimal counts.",
    )
    min_delay: Annotated[Duration, durations("1ms", "1h")] = Field(
        default=Duration.parse("5ms"), description="The second try never begins before this."
    )


# `false` is the same as leaving it out, which is what a switch should say.
Hedge = Annotated[
    HedgeOptions | None,
    widened(
        lambda v: {True: {}, False: None}[v] if isinstance(v, bool) else v,
        bool,
        HedgeOptions | None,
        "true, false or a table",
    ),
]


class Queue(Table):
    """Where requests wait while every endpoint of a pool has as many as its `max_connections` allows.

    Without it they are answered 503 at once. Turns go by the route's `priority`, and within one in the order of
    arrival.
    """

    heading: ClassVar[str] = "Queue"
    where: ClassVar[str] = "[pools.NAME.queue]"
    example: ClassVar[str] = """
[pools.app]
endpoints = [{ address = "10.0.0.1:9000", max_connections = 50 }]
queue = { size = 200, timeout = "2s" }
"""

    size: Annotated[int, integer(1, 1_000_000)] = Field(
        default=100,
        description="How many may wait at once; above it 503 (`queue-full`). Each worker has its equal part, rounded "
        "up.",
    )
    timeout: Timeout = Field(
        default=Duration.parse("5s"), description="For how long each may; then 503 (`queue-timeout`)."
    )


class RetryBudget(Table):
    """How many requests of a pool may be sent twice, so that retries never become the load that keeps it down.

    Both parts add up. Beyond them a failure is the client's answer, and it is counted. A connection that was refused
    has burdened no endpoint, so going on to another one costs nothing.
    """

    heading: ClassVar[str] = "Retry budget"
    where: ClassVar[str] = "[pools.NAME.retry_budget]"
    example: ClassVar[str] = """
[pools.app]
endpoints = ["10.0.0.1:9000", "10.0.0.2:9000"]
retry_budget = { share = "10%", min_per_second = 5 }
"""

    share: Percent = Field(
        default=Percent(20), description="Share of the requests of the last 5 to 10 seconds that may be retried."
    )
    min_per_second: Annotated[int, integer(0, 1_000_000)] = Field(
        default=10, description="Retries a second beyond the share, over all workers, for pools with few requests."
    )
