"""User memory of a client connection that has had one answer and now waits."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench import load
from bench.peers import Contender
from bench.rows import Measure, Plan, Sample
from bench.stage import Stage

REQUEST = b"GET / HTTP/1.1\r\nHost: bench.example.com\r\n\r\n"

# What is made once and not per connection (pools, arenas, lazily bound symbols) is there before the first reading.
WARM_UP_REQUESTS = 2_000


@dataclass(frozen=True)
class Idle:
    """A row of memory readings before and after ``connections`` connections; one run, for memory
    does not scatter as time does."""

    name: str
    title: str
    contenders: Sequence[Contender]
    connections: int
    figure: str = "private_bytes"

    def runs(self, plan: Plan) -> int:  # noqa: ARG002 - the protocol's signature
        return 1

    def cost(self, plan: Plan, contenders: int) -> float:  # noqa: ARG002 - the protocol's signature
        return contenders * (1.0 + self.connections / 1_500)

    @contextmanager
    def open(self, stage: Stage, plan: Plan) -> Iterator[Measure]:  # noqa: ARG002 - the protocol's signature
        yield lambda contender: self._hold(stage, contender)

    def _hold(self, stage: Stage, contender: Contender) -> Sample:
        with stage.start(contender) as started, ExitStack() as held:
            if started.running is None:
                return {}
            load.counted(f"http://127.0.0.1:{started.http}/", 16, WARM_UP_REQUESTS)
            before = started.running.memory()
            failures = sum(not _answered(held, started.http) for _ in range(self.connections))
            after = started.running.memory()
            return {
                "failures": failures,
                "private_bytes": (after.private - before.private) / self.connections,
                "proportional_bytes": (after.proportional - before.proportional) / self.connections,
            }


def _answered(held: ExitStack, port: int) -> bool:
    """Open a connection that stays open as long as ``held``, and have one request answered on it."""
    connection = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
    connection.sendall(REQUEST)
    # The whole response is smaller than a segment, and the origin sends it in one piece.
    return connection.recv(4096).startswith(b"HTTP/1.1 200")
