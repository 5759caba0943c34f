"""Endpoints that fail as they are told, and clients at a fixed rate: what a failure costs both.

    python -m bench.load.failing PROXY RATE half PORT...
    python -m bench.load.failing PROXY RATE outage SECONDS PORT...

`half`: after two seconds one endpoint answers 503 to every other request, for ten seconds. `outage`: all of them to
every request, health checks among them, for so long; then all is well again. Prints figures as JSON. One event loop, so
that what was sent and what came are counted by one clock.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Sequence

CALM_SECONDS = 2
AFTER_SECONDS = 10
RECOVERY_SECONDS = 3
PATIENCE_SECONDS = 10


class Endpoint:
    """Answers 200, or every `fails_every`-th time 503."""

    def __init__(self) -> None:
        self.fails_every = 0
        self.served = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled at the end, as a connection that is kept would otherwise go on.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                is_check = head.startswith(b"GET /healthz ")
                self.served += not is_check
                fails = self.fails_every and (
                    (is_check and self.fails_every == 1) or self.served % self.fails_every == 0
                )
                writer.write(b"HTTP/1.1 %d -\r\nContent-Length: 0\r\n\r\n" % (503 if fails else 200))
        writer.close()


class Clients:
    """Each request on a connection of its own; `asked` is when it was sent, and whether it was answered 200."""

    def __init__(self, port: int, rate: int) -> None:
        self.port, self.rate = port, rate
        self.asked: list[tuple[float, bool]] = []
        self.sent = 0
        self.running: set[asyncio.Task[None]] = set()

    async def offer(self, seconds: float) -> None:
        """For so long; what falls behind the rate is sent as soon as it can be."""
        began, before = time.monotonic(), self.sent
        while (passed := time.monotonic() - began) < seconds:
            while self.sent - before < passed * self.rate:
                self.sent += 1
                self.running.add(task := asyncio.create_task(self._ask()))
                task.add_done_callback(self.running.discard)
            await asyncio.sleep(1 / self.rate)

    def errors(self, begin: float, end: float) -> tuple[int, int]:
        """Of those sent in this time: how many were not answered 200, and how many they were."""
        found = [is_good for at, is_good in self.asked if begin <= at < end]
        return found.count(False), len(found)

    async def _ask(self) -> None:
        at, is_good = time.monotonic(), False
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                with contextlib.closing(writer):
                    writer.write(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                    is_good = (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        self.asked.append((at, is_good))


async def half(clients: Clients, endpoints: Sequence[Endpoint]) -> dict[str, float]:
    """One endpoint fails every other time."""
    await clients.offer(CALM_SECONDS)
    endpoints[0].fails_every, began = 2, time.monotonic()
    served, sent = sum(each.served for each in endpoints), clients.sent
    await clients.offer(AFTER_SECONDS)
    amplification = (sum(each.served for each in endpoints) - served) / (clients.sent - sent)
    await asyncio.gather(*clients.running)
    failed, asked = clients.errors(began, began + RECOVERY_SECONDS)
    later, of = clients.errors(began + RECOVERY_SECONDS, float("inf"))
    return {
        "errors_percent": 100 * failed / asked,
        "errors_percent_later": 100 * later / of,
        "amplification": amplification,
    }


async def outage(clients: Clients, endpoints: Sequence[Endpoint], seconds: float) -> dict[str, float]:
    """All of them fail, and come back."""

    async def amplified(during: float) -> float:
        served, sent = sum(each.served for each in endpoints), clients.sent
        await clients.offer(during)
        return (sum(each.served for each in endpoints) - served) / (clients.sent - sent)

    await clients.offer(CALM_SECONDS)
    for each in endpoints:
        each.fails_every = 1
    meanwhile = await amplified(seconds)
    for each in endpoints:
        each.fails_every = 0
    back = time.monotonic()
    on_return = await amplified(RECOVERY_SECONDS)
    await clients.offer(AFTER_SECONDS)
    await asyncio.gather(*clients.running)
    last = max((at - back for at, is_good in clients.asked if not is_good), default=0.0)
    return {"amplification": meanwhile, "amplification_on_return": on_return, "recovery_seconds": max(0.0, last)}


async def main(arguments: Sequence[str]) -> None:
    proxy, rate, scene, *rest = arguments
    ports = [int(port) for port in rest[scene == "outage" :]]
    endpoints = [Endpoint() for _ in ports]
    for endpoint, port in zip(endpoints, ports, strict=True):
        await asyncio.start_server(endpoint.serve, "127.0.0.1", port)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    clients = Clients(int(proxy), int(rate))
    found = await (half(clients, endpoints) if scene == "half" else outage(clients, endpoints, float(rest[0])))
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
