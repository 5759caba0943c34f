"""CPU time per TLS handshake, on connections that bring no request."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench import load
from bench.peers import Contender
from bench.rows import Measure, Plan, Sample
from bench.stage import Company, Stage, Started


@dataclass(frozen=True)
class Handshakes:
    """A row of TLS 1.3 handshakes by ``clients``, each one after the other.

    With ``resumed``, all but a client's first are by the ticket of the one before."""

    name: str
    title: str
    contenders: Sequence[Contender]
    clients: int
    resumed: bool
    figure: str = "handshake_cpu_us"

    def runs(self, plan: Plan) -> int:
        return plan.runs

    def cost(self, plan: Plan, contenders: int) -> float:
        return contenders * (1.5 + plan.runs * (plan.seconds + 0.05))

    @contextmanager
    def open(self, stage: Stage, plan: Plan) -> Iterator[Measure]:
        with ExitStack() as stack:
            company = Company(stage, stack, lambda started: self._shake_hands(started, 1))
            yield lambda contender: self._load(company[contender], plan.seconds)

    def _shake_hands(self, started: Started, seconds: int) -> tuple[int, float]:
        return load.handshakes(started.https, self.clients, seconds, resumed=self.resumed)

    def _load(self, started: Started, seconds: int) -> Sample:
        before = started.running.cpu_ns() if started.running else 0
        count, took = self._shake_hands(started, seconds)
        sample = {"requests": count, "rate": count / took}
        if started.running:
            cpu_us = (started.running.cpu_ns() - before) / 1000 / count
            sample |= {"handshake_cpu_us": cpu_us, "handshakes_per_cpu_second": 1e6 / cpu_us}
        return sample
