"""Outlier detection of a pool: endpoints judged by live traffic."""

from typing import Annotated, ClassVar

from pydantic import Field

from .table import Bounds, Table, integer, widened
from .units import Duration, Percent, durations

_Consecutive = Annotated[int, integer(0, 10_000)]


class OutlierOptions(Table):
    """When live traffic takes an endpoint out, and for how long. Short form: `outlier_detection = true`.

    The names are Envoy's where it has one.
    """

    heading: ClassVar[str] = "Outlier detection"
    where: ClassVar[str] = "[pools.NAME.outlier_detection]"
    example: ClassVar[str] = """
[pools.app]
endpoints = ["10.0.0.1:9000", "10.0.0.2:9000", "10.0.0.3:9000"]
outlier_detection = { consecutive_gateway_failure = 3, base_ejection_time = "15s", max_ejection_percent = "34%" }
slow_start = "30s"
"""

    interval: Annotated[Duration, durations("100ms", "1h")] = Field(
        default=Duration.parse("1s"),
        description="Between two looks at success rates and latencies. Failures in a row act within 100 ms.",
    )
    consecutive_5xx: _Consecutive = Field(
        default=5,
        description="Server errors in a row, of the endpoint's own or because it could not be reached, after which it "
        "is ejected; 0 turns it off.",
    )
    consecutive_gateway_failure: _Consecutive = Field(
        default=5, description="The same for answers 502, 503 and 504 and for connections that failed; 0 turns it off."
    )
    consecutive_local_origin_failure: _Consecutive = Field(
        default=5,
        description="The same for connections that were refused, reset or timed out, and answers that came too late "
        "(tcp: connections that could not be made); 0 turns it off.",
    )
    success_rate_stdev_factor: Annotated[float, Bounds(0.0, 100.0, "a number")] = Field(
        default=1.9,
        description="An endpoint is ejected when its success rate is this many deviations below the others' median; a "
        "deviation counts at least 5 points. 0 turns it off.",
    )
    success_rate_minimum_hosts: Annotated[int, integer(2, 65_535)] = Field(
        default=3, description="Endpoints with enough traffic that it takes to compare success rates and latencies."
    )
    success_rate_request_volume: Annotated[int, integer(1, 1_000_000)] = Field(
        default=50,
        description="Requests that make a success rate. What one interval does not bring may take up to ten.",
    )
    latency_factor: Annotated[float, Bounds(0.0, 1000.0, "a number")] = Field(
        default=3.0,
        description="An endpoint is slow when its mean time to the response's head (tcp: to connect) is this many "
        "times the others' median. It then gets 1/2, 1/4 and 1/10 of its traffic, and is ejected when it is slow even "
        "so. 0 turns it off.",
    )
    latency_minimum: Annotated[Duration, durations("0s", "1h")] = Field(
        default=Duration.parse("50ms"), description="Differences of latency below this are no anomaly."
    )
    base_ejection_time: Annotated[Duration, durations("100ms", "24h")] = Field(
        default=Duration.parse("30s"),
        description="How long an ejection lasts; the n-th in a row is n times as long. One of them is forgotten after "
        "each such time that the endpoint serves.",
    )
    max_ejection_time: Annotated[Duration, durations("100ms", "24h")] = Field(
        default=Duration.parse("300s"), description="How long one lasts at most; not below `base_ejection_time`."
    )
    max_ejection_percent: Percent = Field(
        default=Percent(10),
        description="Share of the endpoints that may be ejected at once. One always may, and one other is always left.",
    )
    probation: Annotated[Duration, durations("0s", "24h")] = Field(
        default=Duration.parse("10s"),
        description="How long an endpoint gets a tenth of its traffic after an ejection. When a tenth of that fails, "
        "and at least two requests, it is ejected again.",
    )


def _widen(value: object) -> object:
    # `false` is the same as leaving it out, which is what a switch should say.
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


OutlierDetection = Annotated[
    OutlierOptions | None, widened(_widen, bool, OutlierOptions | None, "true, false or a table")
]
