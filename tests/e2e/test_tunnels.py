"""Upgraded connections (WebSocket) and CONNECT: no tunnel before its 101 or 2xx, and only where a route allows it."""

import asyncio

import pytest
import websockets

from ..support.endpoint import OK

UPGRADE = (
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def test_upgrade(web, endpoint) -> None:
    """After the 101 bytes flow both ways, unread; each side's end reaches the other."""
    client = web(endpoint).connect()
    client.send(UPGRADE)
    peer, request = endpoint.serve(SWITCHED + "first words")
    assert request.one("Upgrade") == "websocket"
    assert "upgrade" in (request.one("Connection") or "").lower()
    head = client.read_head()
    assert (head.status, head.one("Upgrade")) == (101, "websocket")
    assert client.read_exactly(11) == b"first words"
    client.send(b"\x00\x01\xff not HTTP \r\n\r\n")
    assert peer.read_exactly(17) == b"\x00\x01\xff not HTTP \r\n\r\n"[:17]
    peer.close()
    client.drain()


def test_upgrade_refused(web, endpoint) -> None:
    """An endpoint that answers something else gets plain HTTP, and so does the client."""
    client = web(endpoint).connect()
    client.send(UPGRADE)
    peer, _ = endpoint.serve(OK)
    assert client.read_response().status == 200
    client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    assert peer.read_request().target == "/next"


def test_never_a_tunnel_before_the_101(web, endpoint) -> None:
    """Bytes behind an upgrade request wait for the endpoint's answer: else they would be smuggled past the routes."""
    client = web(endpoint).connect()
    client.send(UPGRADE + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve(OK)
    assert client.read_response().status == 200
    request = peer.read_request()
    assert request.target == "/smuggled"
    assert request.one("X-Forwarded-For") == "127.0.0.1"


def test_upgrade_not_allowed(web, endpoint) -> None:
    """Where a route does not pass it on, the request goes as plain HTTP."""
    client = web(endpoint, routes='[[routes]]\npool = "app"\nallow_upgrade = false\n').connect()
    client.send(UPGRADE)
    _, request = endpoint.serve()
    assert request.one("Upgrade") is None
    assert client.read_response().status == 200


def test_tunnel_idle_timeout(web, endpoint) -> None:
    """A tunnel on which nothing moves ends."""
    client = web(endpoint, pool='timeouts = { tunnel_idle = "300ms" }').connect()
    client.send(UPGRADE)
    peer, _ = endpoint.serve(SWITCHED)
    client.read_head()
    client.expect_cut()
    peer.expect_cut()


def test_websocket(web, run, port) -> None:
    """A WebSocket client and server that know nothing of us: messages both ways, ping, and a proper close."""

    async def talk() -> None:
        async def echo(connection) -> None:
            async for message in connection:
                await connection.send(message)

        async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as server:
            address = "{}:{}".format(*next(iter(server.sockets)).getsockname())
            serving = await asyncio.to_thread(web, address)
            async with websockets.connect(f"ws://{serving.port}/", max_size=None) as client:
                for message in ("text", b"bytes", b"x" * 3_000_000):
                    await client.send(message)
                    assert await client.recv() == message
                await (await client.ping())
                await client.close(code=1000, reason="done")
                assert client.close_code == 1000

    asyncio.run(asyncio.wait_for(talk(), 60))


def test_connect_is_refused(web, endpoint) -> None:
    """CONNECT needs a route that allows it."""
    client = web(endpoint).connect()
    client.send("CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n")
    head = client.read_head()
    # 405 must name the methods that there are (RFC 9110 §15.5.6), which are none.
    assert (head.status, head.one("Allow")) == (405, "")
    assert not endpoint.is_asked()


def test_connect_where_allowed(web, endpoint) -> None:
    """Where a route allows it, the tunnel goes to the pool's endpoint, whatever the target says."""
    client = web(endpoint, routes='[[routes]]\npool = "app"\nmethods = ["CONNECT"]\nallow_connect = true\n').connect()
    client.send("CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n")
    peer = endpoint.accept()
    if peer.read_until(b"\r\n\r\n").startswith(b"CONNECT db.example:5432 HTTP/1.1\r\n"):
        peer.send("HTTP/1.1 200 Connected\r\n\r\n")
    assert client.read_head().status == 200
    client.send("hello")
    assert peer.read_exactly(5) == b"hello"
    peer.send("world")
    assert client.read_exactly(5) == b"world"


@pytest.mark.parametrize("side", ["client", "endpoint"])
def test_half_close_in_a_tunnel(web, endpoint, side) -> None:
    """One side may stop sending and still receive."""
    client = web(endpoint).connect()
    client.send(UPGRADE)
    peer, _ = endpoint.serve(SWITCHED)
    client.read_head()
    first, second = (client, peer) if side == "client" else (peer, client)
    first.send("last words")
    first.half_close()
    assert second.read_to_end() == b"last words"
    second.send("answer")
    second.close()
    assert first.read_to_end() == b"answer"
