"""Adaptive concurrency of a pool: how many requests it can take at once is found out, not guessed."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from .table import Bounds, Table, integer, refused, widened


class ConcurrencyOptions(Table):
    """How many requests a pool can take at once, found out from its response times. Short form:
    `adaptive_concurrency = true`.

    While responses take no longer than `tolerance` times as long as without load, the limit grows; when they do, it
    shrinks. What is above it waits in the pool's `queue`; without one it is answered 503 (`pool-limited`), which spares
    the endpoints work that would be too late. For HTTP.
    """

    heading: ClassVar[str] = "Adaptive concurrency"
    where: ClassVar[str] = "[pools.NAME.adaptive_concurrency]"
    example: ClassVar[str] = """
[pools.app]
endpoints = ["10.0.0.1:9000", "10.0.0.2:9000"]
adaptive_concurrency = { min_limit = 10, max_limit = 500 }
queue = { size = 200, timeout = "1s" }
"""

    min_limit: Annotated[int, integer(1, 10_000_000)] = Field(default=4, description="The limit is never below this.")
    max_limit: Annotated[int, integer(1, 10_000_000)] = Field(
        default=1000, description="The limit is never above this; not below `min_limit`."
    )
    tolerance: Annotated[float, Bounds(1.05, 10.0, "a number")] = Field(
        default=1.5,
        description="How much longer than without load the median response may take before the limit shrinks. Two "
        "decimals count.",
    )

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if self.max_limit < self.min_limit:
            raise refused(f"is below `min_limit`, which is {self.min_limit}", "max_limit")
        return self


# `false` is the same as leaving it out, which is what a switch should say.
AdaptiveConcurrency = Annotated[
    ConcurrencyOptions | None,
    widened(
        lambda v: {True: {}, False: None}[v] if isinstance(v, bool) else v,
        bool,
        ConcurrencyOptions | None,
        "true, false or a table",
    ),
]
