"""CPU time per HTTP/2 request while h2load sends as many as the load's core can; the origin gets HTTP/1.1."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench import load
from bench.load.parse import Load
from bench.peers import Contender
from bench.rows import Measure, Plan, Sample
from bench.stage import Company, Stage, Started


@dataclass(frozen=True)
class Streams:
    """A row of small requests over TLS, ``streams`` at a time on each of ``connections``."""

    name: str
    title: str
    contenders: Sequence[Contender]
    connections: int
    streams: int
    figure: str = "cpu_us"

    def runs(self, plan: Plan) -> int:
        return plan.runs

    def cost(self, plan: Plan, contenders: int) -> float:
        return contenders * (1.5 + plan.runs * (plan.seconds + 0.05))

    @contextmanager
    def open(self, stage: Stage, plan: Plan) -> Iterator[Measure]:
        with ExitStack() as stack:
            company = Company(stage, stack, lambda started: self._request(started, 1))
            yield lambda contender: self._load(company[contender], plan.seconds)

    def _request(self, started: Started, seconds: int) -> Load:
        return load.multiplexed(f"https://127.0.0.1:{started.https}/", self.connections, self.streams, seconds)

    def _load(self, started: Started, seconds: int) -> Sample:
        before = started.running.cpu_ns() if started.running else 0
        seen = self._request(started, seconds)
        sample = {"requests": seen.requests, "failures": seen.failures, "rate": seen.rate}
        if started.running and seen.requests:
            sample |= {"cpu_us": (started.running.cpu_ns() - before) / 1000 / seen.requests}
        return sample
