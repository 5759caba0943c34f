"""Endpoints that answer by themselves: a small asyncio server, in a thread of this process or in one of its own.

    python -m tests.support.server NAME

prints its address and serves until it is killed. What it answers depends on the path:

| path | answer |
|---|---|
| `/bytes/N` | N bytes, whose content `pattern` predicts |
| `/echo` | the request's body, as it comes |
| `/hold` | 200 once `release` is called |
| `/status/N` | status N |
| any other | 200 and the server's name |
"""

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from .wire import DEADLINE

ROOT = Path(__file__).resolve().parents[2]
PIECE = bytes(range(256)) * 256


def pattern(offset: int, count: int) -> bytes:
    """`count` bytes of `/bytes/N`, from `offset` on."""
    start = offset % 256
    return (PIECE[start:] + PIECE * (count // len(PIECE) + 1))[:count]


class Server:
    """One endpoint. `requests` counts by path; `healthy` decides what `/healthz` answers.

    Of the requests that any other path gets, each `fails_every`-th is answered 503, and each `slow_every`-th after
    `slow_for` seconds; 0 is none. `works_on` makes it work on so many at once; the others wait. One that is `paused`
    answers no such request until it is not; `given_up` counts those whose connection was closed meanwhile.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: Counter[str] = Counter()
        self.connections = 0
        self.healthy = True
        self.fails_every = 0
        self.slow_every = 0
        self.slow_for = 0.0
        self.paused = False
        self.given_up = 0
        self.address = ""
        self._held: list[asyncio.Event] = []
        self._hangs_up = False
        self.most_at_once = 0
        self._at_once = 0
        self._work: tuple[asyncio.Semaphore, float] | None = None

    def __str__(self) -> str:
        return self.address

    @property
    def served(self) -> int:
        """Requests other than health checks."""
        # A copy, because the server's thread may add a path meanwhile.
        return sum(count for path, count in dict(self.requests).items() if path != "/healthz")

    async def listen(self, ip: str = "127.0.0.1") -> asyncio.Server:
        """Starts on a free port. On `0.0.0.0` every address of 127.0.0.0/8 leads here: many endpoints, one server."""
        server = await asyncio.start_server(self._serve, ip, 0, limit=1 << 20, backlog=1024)
        self.address = "{}:{}".format(*server.sockets[0].getsockname())
        return server

    def release(self) -> None:
        """Lets every `/hold` go on. Call it on the server's loop."""
        for event in self._held:
            event.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = head.split(" ", 2)[1].split("?")[0]
                self.requests[path] += 1
                await self._answer(path, head.lower(), reader, writer)
                await writer.drain()
                if "transfer-encoding: chunked" in head.lower():
                    await self._skip_chunks(reader)
        writer.close()

    @staticmethod
    async def _skip_chunks(reader: asyncio.StreamReader) -> None:
        """Reads a body that is not asked for, so that the next request begins behind it."""
        while length := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(length + 2)
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass

    async def _answer(self, path: str, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chunked = "transfer-encoding: chunked" in head
        length = int(head.split("content-length:")[1].split("\r\n")[0]) if "content-length:" in head else 0
        if path == "/echo" and not chunked:
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode())
        while length > 0:
            piece = await reader.read(min(length, 1 << 16))
            if not piece:
                raise ConnectionResetError
            length -= len(piece)
            if path == "/echo":
                writer.write(piece)
                await writer.drain()
        if path == "/echo":
            return
        if path.startswith("/bytes/"):
            await self._send_bytes(int(path.removeprefix("/bytes/")), writer)
            return
        status = 200
        if path == "/hold":
            self._held.append(event := asyncio.Event())
            await event.wait()
        elif path == "/healthz":
            status = 200 if self.healthy else 503
        elif path.startswith("/status/"):
            status = int(path.removeprefix("/status/"))
        elif self._work is not None:
            await self._do_work(*self._work)
        elif self.paused or (self.slow_every and self.served % self.slow_every == 0):
            await self._stall(reader)
        elif self.fails_every and self.served % self.fails_every == 0:
            status = 503
        writer.write(f"HTTP/1.1 {status} -\r\nContent-Length: {len(self.name)}\r\n\r\n{self.name}".encode())

    def works_on(self, count: int, seconds: float) -> None:
        """From now on it works on so many requests at once, so long on each; `most_at_once` is how many it had."""
        self._work = (asyncio.Semaphore(count), seconds)

    async def _do_work(self, room: asyncio.Semaphore, seconds: float) -> None:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            async with room:
                await asyncio.sleep(seconds)
        finally:
            self._at_once -= 1

    def hang_up(self) -> None:
        """Closes the connections of all requests that wait because it is paused, without an answer."""
        self._hangs_up = True

    async def _stall(self, reader: asyncio.StreamReader) -> None:
        """Waits as long as it is slow or paused, unless whoever asked closes the connection."""
        waited = asyncio.create_task(self._pass_time())
        # Nobody asks anything before the answer has come.
        gone = asyncio.create_task(reader.read(1))
        done, pending = await asyncio.wait({waited, gone}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if gone in done:
            self.given_up += 1
            raise ConnectionResetError
        await waited

    async def _pass_time(self) -> None:
        await asyncio.sleep(self.slow_for)
        while self.paused:
            await asyncio.sleep(0.01)
            if self._hangs_up:
                raise ConnectionResetError

    @staticmethod
    async def _send_bytes(count: int, writer: asyncio.StreamWriter) -> None:
        kind = "Content-Type: application/octet-stream"
        writer.write(f"HTTP/1.1 200 OK\r\n{kind}\r\nContent-Length: {count}\r\n\r\n".encode())
        for offset in range(0, count, len(PIECE)):
            writer.write(PIECE[: min(len(PIECE), count - offset)])
            await writer.drain()


class Servers:
    """Servers in one background thread, so that a test can be written as a plain dialogue."""

    def __init__(self, *names: str, ip: str = "127.0.0.1") -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="endpoints", daemon=True)
        self._thread.start()
        self.all = [Server(name) for name in names]
        self._listening = [self._run(server.listen(ip)) for server in self.all]

    def __iter__(self) -> Iterator[Server]:
        return iter(self.all)

    def __getitem__(self, index: int) -> Server:
        return self.all[index]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(DEADLINE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE)
        self._loop.close()

    def release(self) -> None:
        """Lets every `/hold` go on."""
        for server in self.all:
            self._loop.call_soon_threadsafe(server.release)

    async def _end(self) -> None:
        """Stops listening and drops every connection, so that the loop has nothing left when it stops."""
        for listening in self._listening:
            listening.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _run(self, work: "asyncio.Future[asyncio.Server] | object") -> asyncio.Server:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE)  # type: ignore[arg-type]


class ServerProcess:
    """A server in a process of its own, which can be killed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.server", name], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def __str__(self) -> str:
        return self.address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL: no last word, the kernel resets or closes what was open."""
        self.process.kill()
        self.process.wait(DEADLINE)


async def main(name: str) -> None:
    """Serves until killed."""
    server = Server(name)
    listening = await server.listen()
    print(server.address, flush=True)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
