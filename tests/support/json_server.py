"""A small HTTP server that a test plays: a function answers each request, or streams until the client is gone.

It speaks as much HTTP/1.1 as the APIs that discovery asks need: Consul's blocking queries are a function that waits,
and Docker's events one that writes pieces.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    """One request."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Reply:
    """One answer; `pieces` are sent as they come, in chunks, in place of `body`."""

    status: int = 200
    body: Any = ""
    headers: dict[str, str] = field(default_factory=dict)
    pieces: AsyncIterator[str] | None = None


Answer = Callable[[Asked], Awaitable[Reply]]


@asynccontextmanager
async def serving(answer: Answer, socket: Path | None = None) -> AsyncIterator[str]:
    """Serves inside the block, on a Unix socket or on a free port of 127.0.0.1; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                target = urlsplit(lines[0].split(" ")[1])
                pairs = (line.split(": ", 1) for line in lines[1:-2])
                fields = {name.lower(): value for name, value in pairs}
                query = {name: values[0] for name, values in parse_qs(target.query).items()}
                await _send(writer, await answer(Asked(target.path, query, fields)))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            # The client went, or the test has ended.
            pass
        finally:
            writer.close()

    if socket is None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    else:
        server, url = await asyncio.start_unix_server(serve, str(socket)), str(socket)
    try:
        yield url
    finally:
        server.close()


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    body = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
    head = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
    if reply.pieces is None:
        head += f"Content-Length: {len(body.encode())}\r\n"
        writer.write(f"HTTP/1.1 {reply.status} -\r\n{head}\r\n{'' if reply.status == 304 else body}".encode())
        await writer.drain()
        return
    writer.write(f"HTTP/1.1 {reply.status} -\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    await writer.drain()
    async for piece in reply.pieces:
        writer.write(f"{len(piece.encode()):x}\r\n{piece}\r\n".encode())
        await writer.drain()
    writer.write(b"0\r\n\r\n")
