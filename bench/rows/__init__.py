"""What is measured: the table of rows. A kind of measurement is one file beside this one."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from bench.peers import Contender
from bench.stage import Stage

# One run's figures by name; which there are depends on the kind of row (see report/words.py for their units).
Sample = Mapping[str, float]
Measure = Callable[[Contender], Sample]


@dataclass(frozen=True)
class Plan:
    """How long to measure: runs of each contender, and seconds of load in each run."""

    runs: int
    seconds: int


class Row(Protocol):
    """One line of the tables.

    ``figure`` names what contenders are compared by (less is better). ``open`` yields what measures one contender once,
    and at its end stops what that has started. ``runs`` and ``cost`` (seconds for everything, estimated) let the
    session plan ahead.
    """

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def figure(self) -> str: ...
    @property
    def contenders(self) -> Sequence[Contender]: ...
    def runs(self, plan: Plan) -> int: ...
    def cost(self, plan: Plan, contenders: int) -> float: ...
    def open(self, stage: Stage, plan: Plan) -> AbstractContextManager[Measure]: ...
