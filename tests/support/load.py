"""Clients that ask all the time, each on a connection of its own, and count what went wrong.

Strict on purpose: a connection that ends without a whole answer counts as failed, whether it was reset, closed early or
closed while idle just as the request came. A balancer under change has means to avoid each of them.
"""

import asyncio
import threading
import time
from collections import Counter
from typing import Self

from .ports import Port
from .wire import DEADLINE


class Load:
    """Asks `connections` times at once until left; `answers` counts by status, `failures` says what went wrong.

    `times` are the seconds that answers took.
    """

    def __init__(self, port: Port, *, connections: int = 8, path: str = "/", fresh: bool = False) -> None:
        self.answers: Counter[int] = Counter()
        self.bodies: Counter[str] = Counter()
        self.failures: list[str] = []
        self.times: list[float] = []
        self._port, self._path, self._fresh = port, path, fresh
        self._connections = connections
        self._loop = asyncio.new_event_loop()
        self._stopping = False
        self._progress = threading.Condition()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._ask_all(),), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait_for(self._connections)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join(DEADLINE * 2)
        assert not self._thread.is_alive(), "a request never ended"

    @property
    def count(self) -> int:
        """Whole answers so far."""
        return self.answers.total()

    def wait_for(self, more: int, deadline: float = DEADLINE * 2) -> None:
        """Waits until so many more requests have been answered or have failed."""
        target = self.count + len(self.failures) + more
        with self._progress:
            reached = self._progress.wait_for(lambda: self.count + len(self.failures) >= target, deadline)
        assert reached, f"{self.count} answers, {len(self.failures)} failures, waiting for {target}"

    def percentile(self, share: float) -> float:
        """The time that this share of the answers did not exceed."""
        return sorted(self.times)[round(share * (len(self.times) - 1))]

    def assert_clean(self) -> None:
        """Every request was answered with 200."""
        assert not self.failures, f"{len(self.failures)} of {self.count} failed: {self.failures[:5]}"
        assert set(self.answers) == {200}, dict(self.answers)

    async def _ask_all(self) -> None:
        await asyncio.gather(*(self._ask_on_and_on() for _ in range(self._connections)))

    async def _ask_on_and_on(self) -> None:
        connection = None
        request = f"GET {self._path} HTTP/1.1\r\nHost: load\r\n\r\n".encode()
        while not self._stopping:
            try:
                async with asyncio.timeout(DEADLINE):
                    if connection is None:
                        connection = await asyncio.open_connection(*self._port.address)
                    keep = await self._ask(request, *connection)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                self._count(failure=repr(error))
                keep = False
            if connection is not None and (self._fresh or not keep):
                connection[1].close()
                connection = None
        if connection is not None:
            connection[1].close()

    async def _ask(self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection goes on."""
        began = time.monotonic()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        body = await reader.readexactly(int(head.split("content-length:")[1].split("\r\n")[0]))
        self.times.append(time.monotonic() - began)
        self._count(status=int(head.split(" ", 2)[1]), body=body)
        return "connection: close" not in head

    def _count(self, status: int = 0, body: bytes = b"", failure: str = "") -> None:
        with self._progress:
            if failure:
                self.failures.append(failure)
            else:
                self.answers[status] += 1
                self.bodies[body[:40].decode("latin-1")] += 1
            self._progress.notify_all()
