"""User instructions per request, counted by callgrind: the same on every machine and every day, so good for a gate."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import load
from bench.load import callgrind
from bench.peers import Contender
from bench.rows import Measure, Plan, Sample
from bench.stage import Stage
from bench.stage.process import VALGRIND_START_SECONDS, Running

# The difference between n and 2n requests has no connecting and no ending in it.
REQUESTS = 2_000
WARM_UP_REQUESTS = 500

# A profile for each thread, so that those of the control plane can be left out. Nothing is counted before the program
# serves, which makes its start several times faster.
VALGRIND = ("valgrind", "--tool=callgrind", "--separate-threads=yes", "--instr-atstart=no")


@dataclass(frozen=True)
class Instructions:
    """A row of instruction counts; one run suffices, because they do not scatter.

    What varies by some tenths of a percent with several connections is how many of them are ready at one wake-up.
    """

    name: str
    title: str
    contenders: Sequence[Contender]
    connections: int
    figure: str = "instructions"

    def runs(self, plan: Plan) -> int:  # noqa: ARG002 - the protocol's signature
        return 1

    def cost(self, plan: Plan, contenders: int) -> float:  # noqa: ARG002 - the protocol's signature
        return contenders * 11.0

    @contextmanager
    def open(self, stage: Stage, plan: Plan) -> Iterator[Measure]:  # noqa: ARG002 - the protocol's signature
        yield lambda contender: self._count(stage, contender)

    def _count(self, stage: Stage, contender: Contender) -> Sample:
        with counting(stage, contender, self.connections) as counted:
            if counted is None:
                return {}
            once, twice = counted.run(REQUESTS), counted.run(2 * REQUESTS)
            return {"failures": counted.failures, "instructions": (total(twice) - total(once)) / REQUESTS}


class Counted:
    """A contender under callgrind, and the load on it."""

    def __init__(self, running: Running, profile: Path, url: str, connections: int) -> None:
        self._running = running
        self._profile = profile
        self._url = url
        self._connections = connections
        self.failures = 0

    def run(self, requests: int) -> list[str]:
        """Have that many requests answered; return the profile of each thread that served since the last time."""
        self.failures += load.counted(self._url, self._connections, requests).failures
        # Dumping also sets all counts to zero.
        self.control("--dump")
        parts = self._profile.parent.glob(f"{self._profile.name}.{self._running.popen.pid}.*-*")
        # The name ends with the dump's number and the thread's: `callgrind.out.7002.3-01`.
        threads = [(int(path.suffix[1:].partition("-")[0]), path) for path in parts]
        if not threads:
            raise RuntimeError(f"callgrind wrote nothing: {self._running.log_end()}")
        newest = max(number for number, _ in threads)
        texts = (path.read_text(encoding="utf-8", errors="replace") for number, path in threads if number == newest)
        return [text for text in texts if not callgrind.runs_python(text)]

    def control(self, order: str) -> None:
        """Give callgrind an order; returns when it is carried out."""
        command = ["callgrind_control", order, str(self._running.popen.pid)]
        subprocess.run(command, capture_output=True, timeout=120, check=True)


@contextmanager
def counting(stage: Stage, contender: Contender, connections: int) -> Iterator[Counted | None]:
    """Start a contender under callgrind and warm it up; ``None`` for the direct one, which has no process."""
    profile = stage.work / f"callgrind.{contender.label.replace(' ', '-')}.{connections}"
    command = [*VALGRIND, f"--callgrind-out-file={profile}.%p"]
    with stage.start(contender, command, VALGRIND_START_SECONDS) as started:
        if started.running is None:
            yield None
            return
        counted = Counted(started.running, profile, f"http://127.0.0.1:{started.http}/", connections)
        counted.control("--instr=on")
        counted.run(WARM_UP_REQUESTS)
        yield counted


def total(threads: Sequence[str]) -> int:
    """The instructions of all threads together."""
    return sum(callgrind.total(text) for text in threads)
