"""HEAD wherever there is GET (RFC 9110, section 9.1), which FastAPI leaves to each route."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """ASGI middleware that has HEAD answered as GET, with the same fields and without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, as GET if it is HEAD."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        # A copy: the server goes by its own, which says HEAD, to know that no body comes.
        await self._app(dict(scope) | {"method": "GET"}, receive, without_body)
