"""A sample endpoint: a process of its own that answers every request after a while. Run as a module by `scene.py`.

Arguments: name, milliseconds an answer takes, port (0: any). It prints its port, and ends with its standard input, so
that none is left behind whatever ends the demo.
"""

from __future__ import annotations

import asyncio
import random
import sys
from functools import partial

HEAD_LIMIT = 16 * 1024
"""The demo's own requests have a few hundred bytes."""


async def answer(name: str, delay: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers the requests on one connection; health checks at once, so that slow does not look like dead."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"GET /healthz "):
                # A little spread, as real work has it.
                await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 - nothing secret
            body = f"Hello from {name}.\n".encode()
            fields = f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\nX-Endpoint: {name}\r\n\r\n"
            writer.write(b"HTTP/1.1 200 OK\r\n" + fields.encode() + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        # The other side is done, or sent what no balancer sends.
        return
    finally:
        writer.close()


async def serve(name: str, milliseconds: float, port: int) -> None:
    """Serves until standard input ends."""
    handler = partial(answer, name, milliseconds / 1000)
    server = await asyncio.start_server(handler, "127.0.0.1", port, limit=HEAD_LIMIT)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    ended = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(ended), sys.stdin)
    await ended.read()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
