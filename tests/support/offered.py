"""Clients that ask at a fixed rate, whatever becomes of it: what is offered does not depend on what is answered."""

import asyncio
import contextlib
import threading
import time
from dataclasses import dataclass
from typing import Self

from .ports import Port
from .wire import DEADLINE


@dataclass(frozen=True)
class Asked:
    """One request: when it was sent, and the status of its answer; 0 without one."""

    at: float
    status: int


class Offered:
    """Asks `rate` times a second until left, each time on a connection of its own; `asked` is what came of it.

    What falls behind the rate is sent as soon as it can be: the count of a second is the rate.
    """

    def __init__(self, port: Port, *, rate: int) -> None:
        self.asked: list[Asked] = []
        self.sent = 0
        self._port, self._rate = port, rate
        self._stopping = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._offer()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join(DEADLINE * 2)
        assert not self._thread.is_alive(), "a request never ended"

    def between(self, begin: float, end: float = float("inf")) -> list[Asked]:
        """Those that were sent in this time."""
        return [each for each in self.asked if begin <= each.at < end]

    async def _offer(self) -> None:
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            while not self._stopping:
                while self.sent < (time.monotonic() - began) * self._rate:
                    self.sent += 1
                    group.create_task(self._ask())
                await asyncio.sleep(1 / self._rate)

    async def _ask(self) -> None:
        at, status = time.monotonic(), 0
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(DEADLINE):
                reader, writer = await asyncio.open_connection(*self._port.address)
                with contextlib.closing(writer):
                    writer.write(b"GET / HTTP/1.1\r\nHost: offered\r\nConnection: close\r\n\r\n")
                    head = await reader.readuntil(b"\r\n\r\n")
                    await reader.read()
                    status = int(head.split(b" ", 2)[1])
        self.asked.append(Asked(at, status))
