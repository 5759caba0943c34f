"""User instructions per request, counted by callgrind: the same on every machine and every day, so good for a gate."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import load
from bench.load import parse
from bench.peers import Contender
from bench.rows import Measure, Plan, Sample
from bench.stage import Stage
from bench.stage.process import VALGRIND_START_SECONDS, Running

# The difference between n and 2n requests has no start-up, no connecting and no ending in it.
REQUESTS = 2_000
WARM_UP_REQUESTS = 500


@dataclass(frozen=True)
class Instructions:
    """A row of instruction counts; one run suffices, because they do not scatter."""

    name: str
    title: str
    contenders: Sequence[Contender]
    connections: int
    figure: str = "instructions"

    def runs(self, plan: Plan) -> int:  # noqa: ARG002 - the protocol's signature
        return 1

    def cost(self, plan: Plan, contenders: int) -> float:  # noqa: ARG002 - the protocol's signature
        return contenders * 15.0

    @contextmanager
    def open(self, stage: Stage, plan: Plan) -> Iterator[Measure]:  # noqa: ARG002 - the protocol's signature
        yield lambda contender: self._count(stage, contender)

    def _count(self, stage: Stage, contender: Contender) -> Sample:
        profile = stage.work / f"callgrind.{contender.label}.{self.connections}"
        wrap = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}.%p"]
        with stage.start(contender, wrap, VALGRIND_START_SECONDS) as started:
            if started.running is None:
                return {}
            url = f"http://127.0.0.1:{started.http}/"
            load.counted(url, self.connections, WARM_UP_REQUESTS)
            _dumped(started.running, profile)
            failures = load.counted(url, self.connections, REQUESTS).failures
            once = _dumped(started.running, profile)
            failures += load.counted(url, self.connections, 2 * REQUESTS).failures
            twice = _dumped(started.running, profile)
        return {"failures": failures, "instructions": (twice - once) / REQUESTS}


def _dumped(running: Running, profile: Path) -> int:
    """Have callgrind write its counts since the last time and set them to zero; return the instructions."""
    pid = running.popen.pid
    subprocess.run(["callgrind_control", "--dump", str(pid)], capture_output=True, timeout=120, check=True)
    dumps = sorted(profile.parent.glob(f"{profile.name}.{pid}.*"), key=lambda path: int(path.suffix[1:]))
    if not dumps:
        raise RuntimeError(f"callgrind wrote nothing: {running.log_end()}")
    return parse.callgrind_total(dumps[-1].read_text(encoding="utf-8", errors="replace"))
