"""How much of a request's body the admin API takes: it is held in memory as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from evenly.config.load import LARGEST_FILE

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 2 * LARGEST_FILE
"""Bytes. A whole configuration is the largest that is sent; as JSON, its quotes and line ends take two bytes each."""


class Bound:
    """ASGI middleware that answers larger bodies with 413, before or while they arrive."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on; who reads its body is told when it is too large."""
        declared = dict(scope.get("headers", ())).get(b"content-length", b"0")
        # The server has seen to it that it is a number.
        taken, announced = 0, int(declared)

        async def bounded() -> Message:
            nonlocal taken
            if announced > LARGEST_BODY:
                raise _too_large()
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > LARGEST_BODY:
                raise _too_large()
            return message

        await self._app(scope, bounded, send)


def _too_large() -> HTTPException:
    return HTTPException(413, f"expected a body of at most {LARGEST_BODY >> 20} MiB")
