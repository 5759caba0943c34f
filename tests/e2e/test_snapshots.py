"""Connections that outlive reloads let go of the configuration that they began in, and go on all the same."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from ..support.balancer import Balancer
from ..support.endpoint import Endpoint
from ..support.http2 import Http2Client
from ..support.http3 import Http3Client
from ..support.ports import Port
from ..support.wire import Peer

GENERATIONS = 10
# Of HTTP/2 and HTTP/3 (RFC 8441, RFC 9220).
WEBSOCKET = (":protocol", "websocket"), ("sec-websocket-version", "13")
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"


class Generations:
    """A balancer with a listener of streams, and with one connection from each of its configurations."""

    def __init__(self, balancer: Balancer, port: Port, endpoint: Endpoint) -> None:
        self.balancer = balancer
        self.port = port
        self.endpoint = endpoint

    def next(self) -> None:
        """A reload that changes something of everything."""
        number = int(self.balancer.metric("evenly_generation"))
        self.balancer.reload(_file(self.port, self.endpoint, number))

    def in_flight(self) -> int:
        """What the endpoint has under way."""
        under_way: int = self.balancer.endpoint(self.endpoint)["in_flight"]
        return under_way


def _file(port: Port, endpoint: Endpoint, number: int) -> str:
    return (
        f'workers = 1\n[listeners.db]\nbind = "{port}"\nprotocol = "tcp"\npool = "app"\n'
        f'timeouts = {{ idle = "{number + 60}s" }}\n'
        f'[pools.app]\nendpoints = ["{endpoint}"]\ntimeouts = {{ connect = "{number + 10}s" }}\n'
    )


@pytest.fixture
def generations(run, port, endpoint) -> Generations:
    """The balancer in its first generation; the test plays the endpoint."""
    bound = port()
    return Generations(run(_file(bound, endpoint, 0)), bound, endpoint)


@pytest.fixture
def held() -> Iterator[ExitStack]:
    """Closes at the end what the test holds open."""
    with ExitStack() as stack:
        yield stack


def _both_ways(client: Peer, peer: Peer) -> None:
    client.send("ping")
    assert peer.read_exactly(4) == b"ping"
    peer.send("pong")
    assert client.read_exactly(4) == b"pong"


def test_relays_let_go(generations, held) -> None:
    """One relay from each of ten configurations: one configuration is in memory, and each relay works to its end."""
    balancer, relays = generations.balancer, []
    for _ in range(GENERATIONS):
        client = held.enter_context(Peer.connect(generations.port.address))
        relays.append((client, generations.endpoint.accept()))
        _both_ways(*relays[-1])
        generations.next()
    assert balancer.metric("evenly_generation") == GENERATIONS + 1
    balancer.until(lambda: balancer.metric("evenly_snapshots") == 1)
    assert generations.in_flight() == GENERATIONS
    for client, peer in relays:
        _both_ways(client, peer)
        peer.close()
        client.expect_end()
        client.close()
    # Counted when they end, and for the listener and the pool that they came to.
    balancer.until(lambda: balancer.metric("evenly_requests_total", listener="db", pool="app") == GENERATIONS)
    assert generations.in_flight() == 0


class Way:
    """The client's end of one tunnel: how it says something, and what it has heard so far."""

    def __init__(self, say: Callable[[bytes], None], hear: Callable[[bytes], None]) -> None:
        self.say = say
        self.hear = hear


class Tunnels:
    """A balancer on which clients open tunnels by one version of HTTP."""

    def __init__(self, balancer: Balancer, opening: Callable[[], Callable[[], Way]]) -> None:
        self.balancer = balancer
        self.opening = opening
        self._file = balancer.file.read_text()

    def open(self, endpoint: Endpoint) -> tuple[Way, Peer]:
        """A tunnel; both its ends."""
        switched = self.opening()
        peer = endpoint.accept()
        key = (peer.read_request().one("Sec-WebSocket-Key") or "").encode()
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
        peer.send("HTTP/1.1 101 -\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
        peer.send(f"Sec-WebSocket-Accept: {accept}\r\n\r\n")
        return switched(), peer

    def reload(self, number: int) -> None:
        """Another generation, in which all routes are other ones."""
        self.balancer.reload(f'{self._file}\n[[routes]]\nname = "chat-{number}"\npool = "app"\n')


@pytest.fixture(params=["http1", "http2", "http3"])
def tunnels(request, web, h3, held) -> Callable[[Endpoint], Tunnels]:
    """Starts the balancer: `tunnels(endpoint)`."""

    def start(endpoint: Endpoint) -> Tunnels:
        if request.param == "http3":
            client, serving = h3(endpoint)
            return Tunnels(serving.balancer, lambda: _by_http3(client))
        serving = web(endpoint, top='access_log = "-"')
        if request.param == "http1":
            return Tunnels(serving.balancer, lambda: _by_http1(serving.connect()))
        client = held.enter_context(Http2Client(serving.connect().socket))
        return Tunnels(serving.balancer, lambda: _by_http2(client))

    return start


def _by_http1(client: Peer) -> Callable[[], Way]:
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", KEY)

    def hear(expected: bytes) -> None:
        assert client.read_exactly(len(expected)) == expected

    def switched() -> Way:
        assert client.read_head().status == 101
        return Way(client.send, hear)

    return switched


def _by_http2(client: Http2Client) -> Callable[[], Way]:
    stream = client.begin("/", *WEBSOCKET, method="CONNECT", ends=False)

    def hear(expected: bytes) -> None:
        answer = client.answers[stream]
        while len(answer.body) < len(expected):
            assert not client.is_closed, client.goaway
            client.receive()
        assert answer.body == expected
        answer.body = b""

    def switched() -> Way:
        assert client.wait_head(stream).status == 200
        return Way(lambda text: client.send(stream, text, ends=False), hear)

    return switched


def _by_http3(client: Http3Client) -> Callable[[], Way]:
    stream = client.begin("/", *WEBSOCKET, method="CONNECT", is_end=False)

    def hear(expected: bytes) -> None:
        answer = client.answers[stream]
        client.until(lambda: len(answer.body) >= len(expected))
        assert answer.body == expected
        answer.body = b""

    def switched() -> Way:
        client.until(lambda: client.answers[stream].heads)
        assert client.answers[stream].status == 200
        return Way(lambda text: client.data(stream, text, is_end=False), hear)

    return switched


def test_tunnels_let_go(tunnels, endpoint) -> None:
    """One tunnel from each of ten configurations, whose routes are gone: the same, and each is logged as it began."""
    serving = tunnels(endpoint)
    balancer, opened = serving.balancer, []
    for number in range(GENERATIONS):
        serving.reload(number)
        opened.append(serving.open(endpoint))
    serving.reload(GENERATIONS)
    balancer.until(lambda: balancer.metric("evenly_snapshots") == 1)
    assert balancer.endpoint(endpoint)["in_flight"] == GENERATIONS
    for number, (client, peer) in enumerate(opened):
        client.say(b"ping")
        assert peer.read_exactly(4) == b"ping"
        peer.send("answer")
        client.hear(b"answer")
        peer.reset()
        entry = balancer.access(route=f"chat-{number}", reason="upstream-truncated")
        assert (entry["pool"], entry["endpoint"], entry["status"]) == ("app", str(endpoint), 101)
        assert entry["bytes_in"] > 4
        assert entry["bytes_out"] > 6
    assert balancer.endpoint(endpoint)["in_flight"] == 0
    assert balancer.metric("evenly_terminations_total", reason="upstream-truncated") == GENERATIONS
