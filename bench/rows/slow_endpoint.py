"""Latency at a fixed rate while one of several endpoints is slow: what a balancer is for."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from bench import load, machine
from bench.peers import Contender
from bench.report import figures
from bench.rows import Measure, Plan, Sample
from bench.stage import Company, Stage
from bench.stage.process import started

ENDPOINTS = 5
FAST_MILLISECONDS = 2
TIMES_SLOWER = 20


def over(ports: Sequence[int], contender: Contender) -> Contender:
    """The contender with these endpoints, as each configuration writes them."""
    values = {
        "ENDPOINTS": ", ".join(f'"127.0.0.1:{port}"' for port in ports),
        "SERVERS": "\n    ".join(f"server origin{port} 127.0.0.1:{port} pool-max-conn 256" for port in ports),
    }
    return replace(contender, values={**values, **contender.values})


@dataclass(frozen=True)
class SlowEndpoint:
    """A row of ``rate`` requests a second over ``connections`` to :data:`ENDPOINTS`, the last of them
    :data:`TIMES_SLOWER` as slow as the others."""

    name: str
    title: str
    contenders: Sequence[Contender]
    connections: int
    rate: int
    figure: str = "p99_us"

    def runs(self, plan: Plan) -> int:
        return plan.runs

    def cost(self, plan: Plan, contenders: int) -> float:
        return contenders * (2.0 + plan.runs * (2 * plan.seconds + 0.3))

    @contextmanager
    def open(self, stage: Stage, plan: Plan) -> Iterator[Measure]:
        ports = machine.free_ports(ENDPOINTS)
        delays = [FAST_MILLISECONDS] * (ENDPOINTS - 1) + [FAST_MILLISECONDS * TIMES_SLOWER]
        arguments = [str(number) for pair in zip(ports, delays, strict=True) for number in pair]
        command = machine.pinned(machine.LOAD_CORE, [sys.executable, "-m", "bench.stage.slow", *arguments])
        with ExitStack() as stack:
            stack.enter_context(started(command, stage.work / "slow.log", ports))
            # Two seconds to warm up: balancers that learn must have learned.
            company = Company(
                stage, stack, lambda contender: load.steady(contender.http, self.connections, self.rate, seconds=2)
            )
            yield lambda contender: self._load(company[over(ports, contender)].http, 2 * plan.seconds)

    def _load(self, port: int, seconds: int) -> Sample:
        latencies = load.steady(port, self.connections, self.rate, seconds)
        return {"requests": len(latencies)} | {
            f"p{share}_us": figures.percentile(latencies, share / 100) for share in (50, 99, 99.9)
        }
