"""CPU time that active health checks take while there is no traffic."""

import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.peers import Contender
from bench.rows import Measure, Plan, Sample
from bench.stage import Stage

# With the warm-up, until every connection has been replaced, which is after 45 to 60 s; and for jitter to average out.
SECONDS = 45

# Endpoints begin unknown, and becoming healthy is told in a line each; after three intervals that is over.
WARM_UP_SECONDS = 15

CHECKS = re.compile(r'^evenly_endpoint_health_checks_total\{.*result="(passed|failed)"\} (\d+)', re.MULTILINE)


@dataclass(frozen=True)
class Health:
    """A row of one reading over :data:`SECONDS`. What did not pass counts as failed, and so does an endpoint that was
    not checked in that time."""

    name: str
    title: str
    contenders: Sequence[Contender]
    endpoints: int
    figure: str = "core_percent"

    def runs(self, plan: Plan) -> int:  # noqa: ARG002 - the protocol's signature
        return 1

    def cost(self, plan: Plan, contenders: int) -> float:  # noqa: ARG002 - the protocol's signature
        return contenders * (5.0 + WARM_UP_SECONDS + SECONDS)

    @contextmanager
    def open(self, stage: Stage, plan: Plan) -> Iterator[Measure]:  # noqa: ARG002 - the protocol's signature
        yield lambda contender: self._watch(stage, contender)

    def _watch(self, stage: Stage, contender: Contender) -> Sample:
        with stage.start(contender) as started:
            if started.running is None:
                return {}
            admin = stage.admin(contender.label)
            time.sleep(WARM_UP_SECONDS)
            earlier = ended(admin)
            before, since = started.running.cpu_ns(), time.monotonic_ns()
            time.sleep(SECONDS)
            used, took = started.running.cpu_ns() - before, time.monotonic_ns() - since
            passed, failed = (now - then for now, then in zip(ended(admin), earlier, strict=True))
            return {
                "failures": failed + max(0, self.endpoints - passed),
                "core_percent": 100 * used / took,
                "checks_per_second": passed / (took / 1e9),
            }


def ended(admin: Path) -> tuple[int, int]:
    """How many health checks passed and failed so far, over all endpoints, from the admin socket's metrics.

    Raises ``OSError`` when nobody answers there, ``ValueError`` when the answer has no such counters."""
    return counted(metrics(admin))


def metrics(admin: Path) -> str:
    """All of them. Raises ``OSError`` when nobody answers at the admin socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(admin))
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
        with connection.makefile("rb") as answer:
            return answer.read().decode()


def counted(metrics: str) -> tuple[int, int]:
    """Sum the counters of checks: passed, failed."""
    sums = {"passed": 0, "failed": 0}
    for result, count in CHECKS.findall(metrics):
        sums[result] += int(count)
    if not any(sums.values()):
        raise ValueError("no counters of health checks in the metrics")
    return sums["passed"], sums["failed"]
