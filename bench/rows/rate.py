"""Latency at a fixed rate that every peer can keep up with."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench import load
from bench.peers import Contender
from bench.report import figures
from bench.rows import Measure, Plan, Sample
from bench.stage import Company, Stage, Started

# How a contender is told what it stands in front of.
Fit = Callable[[Contender], Contender]


def origin(_stage: Stage, _stack: ExitStack) -> Fit:
    """The stage's own origin, which every contender knows."""
    return lambda contender: contender


@dataclass(frozen=True)
class Rate:
    """A row of ``rate`` requests a second over ``connections``: few enough that no peer has a queue.

    ``behind`` starts what the contenders stand in front of; it lives as long as the row. A run takes ``longer`` times
    the seconds of other rows'.
    """

    name: str
    title: str
    contenders: Sequence[Contender]
    connections: int
    rate: int
    behind: Callable[[Stage, ExitStack], Fit] = origin
    warm_up: int = 1
    # A p99.9 needs some thousand requests in each run.
    longer: int = 2
    figure: str = "p99_us"

    def runs(self, plan: Plan) -> int:
        return plan.runs

    def cost(self, plan: Plan, contenders: int) -> float:
        return contenders * (self.warm_up + plan.runs * (self.longer * plan.seconds + 0.15))

    @contextmanager
    def open(self, stage: Stage, plan: Plan) -> Iterator[Measure]:
        with ExitStack() as stack:
            fit = self.behind(stage, stack)
            company = Company(
                stage,
                stack,
                lambda started: load.steady(started.http, self.connections, self.rate, seconds=self.warm_up),
            )
            yield lambda contender: self._load(company[fit(contender)], self.longer * plan.seconds)

    def _load(self, started: Started, seconds: int) -> Sample:
        before = started.running.cpu_ns() if started.running else 0
        latencies = load.steady(started.http, self.connections, self.rate, seconds)
        sample = {"requests": len(latencies)} | {
            f"p{share}_us": figures.percentile(latencies, share / 100) for share in (50, 99, 99.9)
        }
        if started.running:
            sample |= {"cpu_us": (started.running.cpu_ns() - before) / 1000 / len(latencies)}
        return sample
