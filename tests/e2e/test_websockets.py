"""Reloads leave open WebSockets alone, however many there are and whichever HTTP they came by."""

import asyncio
import resource
from concurrent.futures import ThreadPoolExecutor

import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.sync.server import serve

from ..support.balancer import Balancer
from ..support.http2 import Http2Client
from ..support.http3 import Http3Client
from ..support.wire import Peer

SOCKETS = 5_000
# As many as a connection of HTTP/2 or HTTP/3 may have at once.
STREAMS = 100
RELOADS = 50
# Each socket has two descriptors in the test and two in the balancer, which keeps some for itself.
DESCRIPTORS = 2 * SOCKETS + 2_000
# How many are being opened at once.
AT_ONCE = 100
# A text of two bytes, masked with zeros; it comes back without a mask (RFC 6455 §5.2).
TEXT, ECHO = b"\x81\x82\0\0\0\0hi", b"\x81\x02hi"


def test_idle_websockets_through_reloads(web) -> None:
    """Fifty reloads, each of which changes routes; afterwards every socket still echoes."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < DESCRIPTORS:
        # The number is the promise: fewer sockets would show something else.
        pytest.skip(f"fewer than {DESCRIPTORS} open files are allowed here")
    asyncio.run(asyncio.wait_for(_hold(web), 240))


def test_idle_websockets_of_http3_through_reloads(h3) -> None:
    """The same with streams of QUIC (RFC 9220)."""
    echo = serve(_echo_at_once, "127.0.0.1", 0, compression=None, ping_interval=None)
    with echo as server, ThreadPoolExecutor(1) as thread:
        thread.submit(server.serve_forever)
        try:
            client, serving = h3("{}:{}".format(*server.socket.getsockname()))
            fields = (":protocol", "websocket"), ("sec-websocket-version", "13")
            streams = [client.begin("/", *fields, method="CONNECT", is_end=False) for _ in range(STREAMS)]
            client.until(lambda: all(client.answers[stream].heads for stream in streams))
            assert {client.answers[stream].status for stream in streams} == {200}
            _reload(serving.balancer)
            assert serving.balancer.status()["generation"] == RELOADS + 1
            _say_all_by_http3(client, streams)
            assert not client.closed
            # The server's threads wait for their clients to go.
            client.close()
        finally:
            server.shutdown()


def _echo_at_once(connection) -> None:
    for message in connection:
        connection.send(message)


def _say_all_by_http3(client: Http3Client, streams: list[int]) -> None:
    for stream in streams:
        client.data(stream, TEXT, is_end=False)
    client.until(lambda: all(client.answers[stream].body == ECHO for stream in streams))


async def _hold(web) -> None:
    async with websockets.serve(_echo, "127.0.0.1", 0, ping_interval=None, compression=None) as server:
        address = "{}:{}".format(*next(iter(server.sockets)).getsockname())
        serving = await asyncio.to_thread(web, address)
        clients = await _connect(f"ws://{serving.port}/")
        with Http2Client(Peer.connect(serving.port.address).socket) as http2:
            streams = await asyncio.to_thread(_open, http2)
            await asyncio.to_thread(_reload, serving.balancer)
            assert serving.balancer.status()["generation"] == RELOADS + 1
            await asyncio.gather(*(_say(client, str(number)) for number, client in enumerate(clients)))
            await asyncio.to_thread(_say_all, http2, streams)
        await asyncio.gather(*(client.close() for client in clients))


async def _echo(connection) -> None:
    async for message in connection:
        await connection.send(message)


async def _connect(uri: str) -> list[ClientConnection]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def connect() -> ClientConnection:
        async with turns:
            return await websockets.connect(uri, ping_interval=None, compression=None, proxy=None)

    return await asyncio.gather(*(connect() for _ in range(SOCKETS)))


async def _say(client: ClientConnection, text: str) -> None:
    await client.send(text)
    assert await client.recv() == text


def _open(http2: Http2Client) -> list[int]:
    """WebSockets as streams (RFC 8441)."""
    fields = (":protocol", "websocket"), ("sec-websocket-version", "13")
    streams = [http2.begin("/", *fields, method="CONNECT", ends=False) for _ in range(STREAMS)]
    for stream in streams:
        assert http2.wait_head(stream).status == 200
    return streams


def _say_all(http2: Http2Client, streams: list[int]) -> None:
    for stream in streams:
        http2.send(stream, TEXT, ends=False)
    for stream in streams:
        while len(http2.answers[stream].body) < 4:
            assert not http2.is_closed, http2.goaway
            http2.receive()
        assert http2.answers[stream].body == ECHO


def _reload(balancer: Balancer) -> None:
    text = balancer.file.read_text()
    for number in range(RELOADS):
        routes = f'\n[[routes]]\npath = "/{number}"\nrespond = {{ body = "new" }}\n[[routes]]\npool = "app"\n'
        changes = balancer.reload(text + routes)["routes"]
        assert changes["added"] or changes["changed"]
