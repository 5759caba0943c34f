"""Who may use the admin API.

| bound to | may ask |
| --- | --- |
| a Unix socket | whoever may open it: its mode is 0600 |
| TCP, with `token_file` | whoever sends the token; `/healthz` is open, because load balancers in front cannot send one |
| TCP on loopback, without | whoever is on this machine, but no web page in a browser there: `Host` must be an address or localhost (a page's own name that resolves to 127.0.0.1 is DNS rebinding), and a foreign `Origin` may not write |
"""  # noqa: E501 - a table's row cannot be broken

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

READS = frozenset({"GET", "HEAD"})


def bears(authorization: str, token: bytes) -> bool:
    """Whether an `Authorization` field carries the token; takes equally long wherever the two differ."""
    scheme, _, credentials = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(credentials.strip().encode(), token)


def is_local_name(host: str) -> bool:
    """Whether a `Host` field is an address or localhost: names that no stranger's DNS can point here."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name != "localhost":
            ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def refusal(method: str, path: str, headers: dict[str, str], token: bytes | None) -> tuple[int, str] | None:
    """Why a request over TCP may not pass, as status and text; `None` lets it pass. Header names are lower case."""
    if token is not None:
        if path == "/healthz" or bears(headers.get("authorization", ""), token):
            return None
        return 401, "expected the header `Authorization: Bearer TOKEN` with the token of [admin] token_file"
    host = headers.get("host", "")
    if not is_local_name(host):
        return 403, f"expected an IP address or localhost as Host, found {host!r}"
    origin = headers.get("origin")
    if method not in READS and origin is not None and origin != f"http://{host}":
        return 403, f"expected no Origin, or this server's own, on a request that changes something, found {origin!r}"
    return None


class Guard:
    """ASGI middleware that applies `refusal` to a server on TCP."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers it with a problem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refused = refusal(scope["method"], scope["path"], headers, self._token)
        if refused is None:
            await self._app(scope, receive, send)
            return
        # Imported here, because FastAPI is loaded only when there is a request: see `server.py`.
        from evenly.api.problems import problem

        answer = problem(*refused)
        if refused[0] == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
        await answer(scope, receive, send)
