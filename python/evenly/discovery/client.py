"""What the sources that are asked over HTTP share: a client, a bounded body, and errors in our words."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from socket import IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL
from typing import TYPE_CHECKING

from evenly.config.files import open_file
from evenly.discovery.source import Reason, SourceError

if TYPE_CHECKING:
    import httpx

LARGEST_TOKEN = 4 << 10

KEPT_ALIVE = [
    (SOL_SOCKET, SO_KEEPALIVE, 1), (IPPROTO_TCP, TCP_KEEPIDLE, 15), (IPPROTO_TCP, TCP_KEEPINTVL, 5),
    (IPPROTO_TCP, TCP_KEEPCNT, 3),
]  # fmt: skip
"""A server that is gone without a word is noticed after half a minute, not when a query that it may hold back for
minutes is due."""


@asynccontextmanager
async def client(url: str, ca_file: Path | None = None, socket: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of one server, over its Unix socket if there is one. Raises `SourceError` for a bad `ca_file`.

    Proxies of the environment are not used, and redirections not followed: what is asked is what the file says.
    Without timeouts of its own, because every question has one deadline for all of it.
    """
    # Imported here, because most configurations need no HTTP client, and it takes a while.
    import httpx

    verify: ssl.SSLContext | bool = True
    if ca_file is not None:
        try:
            verify = await asyncio.to_thread(ssl.create_default_context, cafile=str(ca_file))
        except (OSError, ssl.SSLError) as error:
            raise SourceError("denied", f"{ca_file} cannot be used: {error.strerror or error}") from error
    options = None if socket is not None else KEPT_ALIVE
    transport = httpx.AsyncHTTPTransport(uds=socket, verify=verify, trust_env=False, socket_options=options)
    async with httpx.AsyncClient(transport=transport, base_url=url, timeout=None, trust_env=False) as opened:  # noqa: S113
        yield opened


async def fetch(
    asked: httpx.AsyncClient,
    path: str,
    seconds: float,
    largest: int,
    *,
    headers: dict[str, str] | None = None,
    params: dict[str, str] | None = None,
) -> httpx.Response:
    """The answer to a GET with its body read; 304 and successes only. Raises `SourceError`."""
    import httpx

    try:
        async with asyncio.timeout(seconds), asked.stream("GET", path, headers=headers, params=params) as answer:
            body = bytearray()
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > largest:
                    raise SourceError("invalid", f"{answer.url} answered more than {largest >> 20} MiB")
            check_status(answer, bytes(body))
            # Not `answer.aread()`, which knows no bound.
            return httpx.Response(answer.status_code, headers=_plain(answer.headers), content=bytes(body))
    except TimeoutError as error:
        raise SourceError("timeout", f"no answer within {seconds:g} s") from error
    except httpx.HTTPError as error:
        raise failure(error) from error


def check_status(answer: httpx.Response, body: bytes = b"") -> None:
    """Raises `SourceError` unless the answer is a success, or says that nothing has changed."""
    if answer.is_success or answer.status_code == 304:
        return
    said = body[:200].decode("utf-8", "replace").strip().partition("\n")[0]
    reason: Reason = "denied" if answer.status_code in (401, 403) else "refused"
    raise SourceError(reason, f"{answer.url} answered {answer.status_code}{f' ({said})' if said else ''}")


def failure(error: httpx.HTTPError) -> SourceError:
    """What a request that got no answer means."""
    import httpx

    text = str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectError):
        return SourceError("unreachable", f"cannot connect: {text}")
    return SourceError("unreachable" if isinstance(error, httpx.TransportError) else "invalid", text)


async def token(path: Path | None) -> str | None:
    """The token in a file, read each time, so that a renewed one counts. Raises `SourceError`."""

    def read(path: Path) -> bytes:
        with open_file(path) as file:
            return file.read(LARGEST_TOKEN)

    if path is None:
        return None
    try:
        text = (await asyncio.to_thread(read, path)).decode().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SourceError("denied", f"the token file {path} cannot be read: {reason}") from error
    if not text.isascii() or not text.isprintable() or " " in text:
        raise SourceError("denied", f"expected one word of ASCII characters in the token file {path}")
    return text


def _plain(headers: httpx.Headers) -> list[tuple[str, str]]:
    """Without what described the body on the wire: it has been decoded."""
    on_the_wire = {"content-encoding", "content-length", "transfer-encoding"}
    return [(name, value) for name, value in headers.items() if name.lower() not in on_the_wire]
