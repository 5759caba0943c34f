"""What operators try out on a route: copies of its requests to another pool, and faults on purpose."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from .match import Condition
from .table import Table, integer, refused
from .units import Duration, Percent, Size, Timeout, durations, sizes
from .words import FieldName, PoolName

_ALL = Percent(100)


class Mirror(Table):
    """Copies of requests to a second pool, whose answers nobody gets.

    A copy has a task of its own, and the client never waits for it; what is beyond the bounds below is not copied, and
    counted. Upgrades and CONNECT are never copied.
    """

    heading: ClassVar[str] = "Route: mirror"
    where: ClassVar[str] = "[routes.mirror]"
    example: ClassVar[str] = """
[[routes]]
pool = "app"
mirror = { pool = "shadow", share = "10%", compare = true }
"""

    pool: PoolName = Field(description="Where the copies go.", examples=["shadow"])
    share: Percent = Field(default=_ALL, description="Of how many requests.", examples=["10%"])
    body: Annotated[Size, sizes("0B", "16MiB")] = Field(
        default=Size.parse("64KiB"),
        description="A request with a larger body is not copied. Of responses with larger bodies only status and "
        "length are compared.",
    )
    max_in_flight: Annotated[int, integer(1, 65_535)] = Field(
        default=64, description="Copies of this route under way at once, for each worker; above it they are dropped."
    )
    timeout: Timeout = Field(
        default=Duration.parse("10s"), description="For a copy, from the pick of an endpoint to the end of its answer."
    )
    compare: bool = Field(
        default=False,
        description="Whether its answer is compared with the client's: status, length and a hash of the body, counted "
        "by the first difference in `evenly_mirror_comparisons_total`.",
    )


class Fault(Table):
    """Faults on purpose, to see how clients bear them.

    A delay before the request is forwarded, an error in place of the endpoint's answer, or both. The two shares are
    drawn for themselves.
    """

    heading: ClassVar[str] = "Route: fault"
    where: ClassVar[str] = "[routes.fault]"
    example: ClassVar[str] = """
[[routes]]
pool = "app"
fault = { delay = "200ms", delay_share = "10%", abort = 503, abort_share = "1%", headers = { X-Fault = true } }
"""

    delay: Annotated[Duration, durations("1ms", "5m")] | None = Field(
        default=None, description="How long a request waits before an endpoint is picked.", examples=["200ms"]
    )
    delay_share: Percent | None = Field(
        default=None, description="Of how many requests; by itself of all.", examples=["10%"]
    )
    abort: Annotated[int, integer(400, 599)] | None = Field(
        default=None,
        description="The status of an answer in place of the endpoint's; its reason in the access log is "
        "`fault-aborted`.",
        examples=[503],
    )
    abort_share: Percent | None = Field(
        default=None, description="Of how many requests; by itself of all.", examples=["1%"]
    )
    headers: dict[FieldName, Condition] = Field(
        default={},
        description="Only requests for which all of these hold, written as the route's own `headers`.",
        examples=[{"X-Fault": True}],
    )

    @model_validator(mode="after")
    def _check_something(self) -> Self:
        if self.delay is None and self.abort is None:
            raise refused("expected `delay`, `abort` or both")
        for what in ("delay", "abort"):
            if getattr(self, what) is None and getattr(self, f"{what}_share") is not None:
                raise refused(f"goes with `{what}`", f"{what}_share")
        return self
