"""CPU time per datagram of a UDP relay, while clients keep as many on their way as they may."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench import load, machine
from bench.peers import Contender
from bench.rows import Measure, Plan, Sample
from bench.stage import Company, Stage, Started


@dataclass(frozen=True)
class Datagrams:
    """A row of exchanges of ``size`` bytes by ``clients``, each with ``window`` datagrams on their way.

    An exchange is two datagrams for the relay: one from the client, and one back."""

    name: str
    title: str
    contenders: Sequence[Contender]
    clients: int
    window: int
    size: int = 512
    figure: str = "datagram_cpu_us"

    def runs(self, plan: Plan) -> int:
        return plan.runs

    def cost(self, plan: Plan, contenders: int) -> float:
        return contenders * (1.5 + plan.runs * (plan.seconds + 0.2))

    @contextmanager
    def open(self, stage: Stage, plan: Plan) -> Iterator[Measure]:
        # Beside the origin and at its number: the ports of UDP are others than those of TCP.
        command = machine.pinned(machine.LOAD_CORE, [str(load.DATAGRAMS), "echo", str(stage.origin)])
        with ExitStack() as stack:
            echo = stack.enter_context(subprocess.Popen(command, stdin=subprocess.DEVNULL))
            stack.callback(echo.terminate)
            company = Company(stage, stack, lambda started: self._exchange(started, 1))
            yield lambda contender: self._load(company[contender], plan.seconds)

    def _exchange(self, started: Started, seconds: int) -> tuple[int, int, float]:
        return load.datagrams(started.tcp, self.clients, self.size, self.window, seconds)

    def _load(self, started: Started, seconds: int) -> Sample:
        before = started.running.cpu_ns() if started.running else 0
        exchanges, lost, took = self._exchange(started, seconds)
        sample = {"requests": exchanges, "failures": lost, "rate": exchanges / took}
        if started.running and exchanges:
            sample |= {"datagram_cpu_us": (started.running.cpu_ns() - before) / 1000 / exchanges / 2}
        return sample
