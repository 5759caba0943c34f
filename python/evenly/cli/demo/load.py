"""The demo's clients: a few keep-alive connections, each sending the next request when it has its answer.

That bounds the load by itself: with every answer taking milliseconds, sixteen clients send about a thousand a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from evenly.cli.demo.figures import Sample

CLIENTS = 16
ANSWER_SECONDS = 5.0
"""After this a request counts as failed; nothing in the demo takes a tenth of it."""

RETRY_SECONDS = 0.1
"""How long a client whose connection failed waits, so that a balancer that is down is not hammered."""

Record = Callable[[Sample], None]


async def keep_asking(port: int, record: Record) -> None:
    """One client, until cancelled: connects again whenever its connection ends."""
    while True:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            record(Sample(time.monotonic(), None, 0.0))
            await asyncio.sleep(RETRY_SECONDS)
            continue
        try:
            await _ask_on(reader, writer, port, record)
        finally:
            writer.close()


async def _ask_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, record: Record) -> None:
    """Sends requests on one connection until it fails or the other side announces its end."""
    request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: evenly-demo\r\n\r\n".encode()
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                writer.write(request)
                endpoint, goes_on = await _read_answer(reader)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError):
            record(Sample(time.monotonic(), None, 0.0))
            await asyncio.sleep(RETRY_SECONDS)
            return
        now = time.monotonic()
        record(Sample(now, endpoint, now - began))
        if not goes_on:
            return


async def _read_answer(reader: asyncio.StreamReader) -> tuple[str | None, bool]:
    """Who answered, `None` if the answer is an error; and whether the connection takes another request."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *lines = head.splitlines()
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    await reader.readexactly(int(fields["content-length"]))
    endpoint = fields.get("x-endpoint") if status.split()[1] == "200" else None
    return endpoint, fields.get("connection", "").lower() != "close"
