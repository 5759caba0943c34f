"""Several endpoints of which one is slow, for a row of latency at a fixed rate: what a balancer is for."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from bench import load, machine
from bench.peers import Contender
from bench.rows.rate import Fit
from bench.stage import Stage
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


def slow_endpoints(stage: Stage, stack: ExitStack) -> Fit:
    """Starts :data:`ENDPOINTS`, the last of them :data:`TIMES_SLOWER` as slow as the others."""
    ports = machine.free_ports(ENDPOINTS)
    delays = [FAST_MILLISECONDS] * (ENDPOINTS - 1) + [FAST_MILLISECONDS * TIMES_SLOWER]
    arguments = [str(number) for pair in zip(ports, delays, strict=True) for number in pair]
    command = machine.pinned(machine.LOAD_CORE, [str(load.SLOW), *arguments])
    stack.enter_context(started(command, stage.work / "slow.log", ports))
    return lambda contender: over(ports, contender)
