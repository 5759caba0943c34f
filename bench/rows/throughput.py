"""CPU time per request while wrk sends as many requests as the load's core can."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench import load
from bench.peers import Contender
from bench.rows import Measure, Plan, Sample
from bench.stage import Company, Stage, Started

# Requests on each connection before the first run: fills pools and caches; not counted.
WARM_UP_REQUESTS = 20


@dataclass(frozen=True)
class Throughput:
    """A row of load without a pause. ``body`` is the bytes of payload of one request, for rows where they matter."""

    name: str
    title: str
    contenders: Sequence[Contender]
    connections: int
    path: str = "/"
    headers: tuple[str, ...] = ()
    script: Path | None = None
    over: Literal["http", "https", "tcp"] = "http"
    body: int = 0
    figure: str = "cpu_us"

    def runs(self, plan: Plan) -> int:
        return plan.runs

    def cost(self, plan: Plan, contenders: int) -> float:
        return contenders * (0.5 + plan.runs * (plan.seconds + 0.05))

    @contextmanager
    def open(self, stage: Stage, plan: Plan) -> Iterator[Measure]:
        warm_up = self.connections * WARM_UP_REQUESTS
        with ExitStack() as stack:
            company = Company(stage, stack, lambda started: load.counted(self._url(started), self.connections, warm_up))
            yield lambda contender: self._load(company[contender], plan.seconds)

    def _url(self, started: Started) -> str:
        ports = {"http": started.http, "https": started.https, "tcp": started.tcp}
        scheme = "https" if self.over == "https" else "http"
        return f"{scheme}://127.0.0.1:{ports[self.over]}{self.path}"

    def _load(self, started: Started, seconds: int) -> Sample:
        before = started.running.cpu_ns() if started.running else 0
        seen = load.wrk(self._url(started), self.connections, seconds, self.headers, self.script)
        sample = {"requests": seen.requests, "failures": seen.failures, "rate": seen.rate} | {
            f"p{percentile}_us": value * 1e6 for percentile, value in seen.latency.items()
        }
        if started.running and seen.requests:
            cpu_us = (started.running.cpu_ns() - before) / 1000 / seen.requests
            sample |= {"cpu_us": cpu_us}
            if self.body:
                sample |= {"mib_per_cpu_second": self.body / 2**20 / (cpu_us / 1e6)}
        return sample
