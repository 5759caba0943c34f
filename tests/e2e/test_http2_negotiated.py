"""`protocol = "auto"`: each endpoint chooses what is spoken, whenever a connection is made; requests notice nothing."""

import contextlib
import select
import ssl
from collections.abc import Callable, Iterator
from functools import partial

import grpc
import pytest

from ..support.choosing_endpoint import ChoosingEndpoint
from ..support.endpoint import OK
from ..support.grpc_server import GrpcServer
from ..support.http2 import Http2Client, http2_clients
from ..support.http2_endpoint import Http2Peer

REFUSED_STREAM, ENABLE_CONNECT_PROTOCOL = 7, 8
CHOSEN = "evenly_upstream_negotiated_connections_total"


@pytest.fixture
def choosing(authority) -> Iterator[Callable[..., ChoosingEndpoint]]:
    """Starts an endpoint: `choosing("h2", "http/1.1")`."""
    with contextlib.ExitStack() as running:

        def start(*choice: str) -> ChoosingEndpoint:
            context = authority.server(authority.issue("127.0.0.1"))
            return running.enter_context(ChoosingEndpoint(context, *choice))

        yield start


@pytest.fixture
def auto(web, authority):
    """A balancer before such endpoints: `serving = auto(one, other)`, and `serving.h2()` connects by HTTP/2."""

    def start(*endpoints: object, pool: str = "", **parts: str):
        options = f'protocol = "auto"\ntls = {{ ca = "{authority.bundle}" }}\n{pool}'
        serving = web(*(f"https://{each}" for each in endpoints), pool=options, top='access_log = "-"', **parts)
        serving.h2 = partial(connect, serving.port.address)
        return serving

    with http2_clients() as connect:
        yield start


def at_once(client: Http2Client, number: int) -> list[int]:
    """Begins so many requests in one piece, so that none is under way before the others are; their streams."""
    streams = []
    for path in range(number):
        streams.append(client.h2.get_next_available_stream_id())
        fields = [(":method", "GET"), (":scheme", "https"), (":path", f"/{path}"), (":authority", "shop.test")]
        client.h2.send_headers(streams[-1], fields, end_stream=True)
    client.flush()
    return streams


def test_each_endpoint_speaks_what_it_chooses(auto, choosing) -> None:
    """Two of one pool that differ; the next requests find each as it was, and the log and the metrics tell."""
    one, other = choosing("h2", "http/1.1"), choosing("http/1.1")
    serving = auto(one, other)
    client, spoken = serving.connect(), []
    by_http2 = by_http1 = None
    for number in range(4):
        client.send(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")
        if number == 0:
            # Which one is first is the balancer's choice.
            is_first = select.select([one.socket, other.socket], [], [], 10)[0] == [one.socket]
        if (number % 2 == 0) == is_first:
            by_http2 = by_http2 or one.accept_http2()
            by_http2.answer(by_http2.request().stream)
            spoken.append("HTTP/2.0")
        else:
            by_http1 = by_http1 or other.accept()
            assert by_http1.read_request().target == f"/{number}"
            by_http1.send(OK)
            spoken.append("HTTP/1.1")
        assert client.read_response().text == "ok"
    assert [serving.balancer.access(target=f"/{number}")["endpoint_protocol"] for number in range(4)] == spoken
    assert sorted(spoken) == ["HTTP/1.1", "HTTP/1.1", "HTTP/2.0", "HTTP/2.0"]
    counted = [
        serving.balancer.metric(CHOSEN, endpoint=str(endpoint), protocol=protocol)
        for endpoint in (one, other)
        for protocol in ("h2", "http/1.1")
    ]
    assert counted == [1, 0, 0, 1]
    assert not one.is_asked()
    assert not other.is_asked()


def test_many_at_once_before_anything_is_known_share_a_connection(auto, choosing) -> None:
    """One connection is made, and all wait for what is chosen on it."""
    endpoint = choosing("h2", "http/1.1")
    serving = auto(endpoint)
    client = serving.h2()
    streams = at_once(client, 50)
    peer = endpoint.accept_http2()
    for _ in streams:
        peer.answer(peer.request().stream)
    client.wait(*streams)
    assert {client.answers[stream].text for stream in streams} == {"ok"}
    assert not endpoint.is_asked()


def test_many_at_once_get_connections_of_their_own_where_they_have_to(auto, choosing) -> None:
    """What was made to find that out is the first one's; the others make theirs, and nobody waits for an answer."""
    endpoint = choosing("http/1.1")
    serving = auto(endpoint)
    client = serving.h2()
    streams = at_once(client, 20)
    first = endpoint.accept()
    peers = [first, *(endpoint.accept() for _ in streams[1:])]
    asked = [peer.read_request().target for peer in peers]
    assert (asked[0], len(set(asked))) == ("/0", 20)
    for peer in peers:
        peer.send(OK)
    client.wait(*streams)
    assert not endpoint.is_asked()
    assert serving.balancer.metric(CHOSEN, protocol="http/1.1") == 20
    # Idle ones serve what comes next.
    again = client.begin("/again")
    (taken,), _, _ = select.select([peer.session for peer in peers], [], [], 10)
    (peer,) = (peer for peer in peers if peer.session is taken)
    assert peer.read_request().target == "/again"
    peer.send(OK)
    assert client.wait(again).text == "ok"


def test_an_endpoint_comes_to_speak_http2(auto, choosing) -> None:
    """Many find that out at once, each on a connection that it made for itself: one is shared, the others end."""
    endpoint = choosing("http/1.1")
    serving = auto(endpoint)
    client = serving.h2()
    stream = client.begin("/before")
    peer = endpoint.accept()
    peer.read_request()
    peer.send(OK)
    client.wait(stream)
    peer.close()
    endpoint.choose("h2")
    streams = at_once(client, 20)
    shared, *rest = (endpoint.session() for _ in streams)
    peer = Http2Peer(shared)
    for _ in streams:
        peer.answer(peer.request().stream)
    client.wait(*streams)
    assert {client.answers[stream].text for stream in streams} == {"ok"}
    for session in rest:
        assert session.recv(1) == b"", "an end that is announced"
        session.close()
    assert not endpoint.is_asked()
    assert serving.balancer.metric(CHOSEN, protocol="h2") == 1


def test_an_endpoint_comes_to_speak_http1(auto, choosing) -> None:
    """What it had not looked at is sent again, by what it speaks now."""
    endpoint = choosing("h2", "http/1.1")
    serving = auto(endpoint)
    client = serving.h2()
    before = client.begin("/before")
    peer = endpoint.accept_http2()
    working = peer.request()
    stream = client.begin("/again", method="POST", ends=False)
    client.send(stream, b"body")
    peer.request()
    endpoint.choose("http/1.1")
    peer.go_away(working.stream)
    now = endpoint.accept()
    asked = now.read_request()
    assert (asked.target, asked.one("Transfer-Encoding"), asked.body) == ("/again", "chunked", b"body")
    now.send(OK)
    assert client.wait(stream).text == "ok"
    peer.answer(working.stream, b"old")
    assert client.wait(before).text == "old"
    line = serving.balancer.access(target="/again")
    assert (line["attempts"], line["endpoint_protocol"]) == (2, "HTTP/1.1")


TWICE = 'retry = { on = ["reset"], non_idempotent = true }'


@pytest.mark.parametrize("is_whole", [True, False])
def test_bodies_are_framed_for_the_one_who_gets_them(auto, choosing, is_whole) -> None:
    """Kept in chunks for one of HTTP/1.1 that dies, sent on as they are by HTTP/2, with what follows them."""
    endpoint = choosing("http/1.1")
    serving = auto(endpoint, pool=TWICE)
    client = serving.connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n3\r\nabc\r\n")
    last = "2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n"
    if is_whole:
        client.send(last)
    peer = endpoint.accept()
    peer.read_until(b"0\r\nX-Sum: 5\r\n\r\n" if is_whole else b"abc\r\n")
    endpoint.choose("h2")
    peer.reset()
    peer = endpoint.accept_http2()
    asked = peer.begun()
    peer.wait(lambda: asked.body.startswith(b"abc"))
    if not is_whole:
        client.send(last)
    peer.wait(lambda: asked.is_ended)
    assert (asked.body, asked.trailers) == (b"abcde", [("x-sum", "5")])
    peer.answer(asked.stream)
    assert client.read_response().text == "ok"


def test_trailers_that_nobody_has_announced_are_for_http2(auto, choosing) -> None:
    """As where a pool speaks one or the other alone."""
    for choice in ("h2", "http/1.1"):
        endpoint = choosing(choice)
        client = auto(endpoint).h2()
        stream = client.begin("/", method="POST", ends=False)
        client.send(stream, b"body", ends=False)
        client.h2.send_headers(stream, [("x-sum", "1")], end_stream=True)
        client.flush()
        if choice == "h2":
            peer = endpoint.accept_http2()
            asked = peer.request()
            assert (asked.body, asked.trailers) == (b"body", [("x-sum", "1")])
            peer.answer(asked.stream)
        else:
            plain = endpoint.accept()
            assert plain.read_until(b"0\r\n\r\n").endswith(b"\r\n\r\n4\r\nbody\r\n0\r\n\r\n")
            plain.send(OK)
        assert client.wait(stream).text == "ok"


UPGRADE = (
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCHED = (
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def test_tunnels(auto, choosing) -> None:
    """By an upgrade, or by an extended CONNECT; where there is none, the client is told so."""
    endpoint = choosing("http/1.1")
    serving = auto(endpoint, routes='[[routes]]\npool = "app"\nallow_upgrade = true\n')
    client = serving.connect()
    client.send(UPGRADE)
    peer = endpoint.accept()
    assert peer.read_head().one("Upgrade") == "websocket"
    peer.send(SWITCHED)
    assert client.read_head().status == 101
    client.send(b"there")
    assert peer.read_exactly(5) == b"there"
    peer.send(b"back")
    assert client.read_exactly(4) == b"back"
    endpoint.choose("h2")
    for settings, status in (({ENABLE_CONNECT_PROTOCOL: 1}, 101), ({}, 501)):
        client = serving.connect()
        client.send(UPGRADE)
        by_http2 = endpoint.accept_http2(settings=settings)
        if status == 101:
            asked = by_http2.begun()
            assert asked.head[":protocol"] == "websocket"
            by_http2.head(asked.stream)
            by_http2.go_away(asked.stream)
        assert client.read_head().status == status


def test_copies_are_framed_for_who_gets_them(web, endpoint, choosing, authority) -> None:
    """A mirror's pool may choose, too."""
    app, endpoint = endpoint, choosing("http/1.1")
    routes = (
        f'[pools.shadow]\nendpoints = ["https://{endpoint}"]\nprotocol = "auto"\n'
        f'tls = {{ ca = "{authority.bundle}" }}\n[[routes]]\npool = "app"\nmirror = {{ pool = "shadow" }}\n'
    )
    client, peer = web(app, routes=routes).connect(), None
    for choice in ("http/1.1", "h2"):
        endpoint.choose(choice)
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        peer = peer or app.accept()
        assert peer.read_request().body == b"abc"
        peer.send(OK)
        assert client.read_response().text == "ok"
        if choice == "h2":
            by_http2 = endpoint.accept_http2()
            asked = by_http2.request()
            assert asked.body == b"abc"
            by_http2.answer(asked.stream)
        else:
            plain = endpoint.accept()
            assert plain.read_request().body == b"abc"
            plain.send(OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
            plain.close()


def test_grpc(auto, authority) -> None:
    """A server that takes HTTP/2 alone, and refuses what does not offer it."""
    with GrpcServer("a", authority.issue("127.0.0.1")) as server:
        serving = auto(server, pool='health_check = "grpc"')
        with grpc.insecure_channel(str(serving.port), [("grpc.use_local_subchannel_pool", 1)]) as channel:
            assert channel.unary_unary("/test.Echo/Unary")(b"hello", timeout=10) == b"a:hello"
            down = channel.unary_stream("/test.Echo/Down")(b"100", timeout=30)
            assert len(list(down)) == 101
        assert serving.balancer.access(target="/test.Echo/Unary")["endpoint_protocol"] == "HTTP/2.0"
        serving.balancer.until(lambda: serving.balancer.metric("evenly_endpoint_health_checks_total", result="passed"))
        assert serving.balancer.metric("evenly_endpoint_health_checks_total", result="failed") == 0


def test_a_reload_to_another_protocol(web, choosing, authority) -> None:
    """An idle connection goes on as it is, whatever is spoken on the next one: bodies are framed for what it speaks."""
    endpoint = choosing("http/1.1")
    tls = f'tls = {{ ca = "{authority.bundle}" }}'
    serving = web(f"https://{endpoint}", pool=f'protocol = "http1"\n{tls}')
    client = serving.connect()
    post = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    client.send(post)
    peer = endpoint.accept()
    assert peer.read_request().body == b"abc"
    peer.send(OK)
    assert client.read_response().text == "ok"
    for protocol in ("h2", "auto"):
        text = serving.balancer.file.read_text()
        serving.balancer.reload(text.replace('"http1"', f'"{protocol}"').replace('"h2"', f'"{protocol}"'))
        client.send(post)
        assert peer.read_request().body == b"abc"
        peer.send(OK)
        assert client.read_response().text == "ok"


def test_no_choice_at_all_is_http1(auto, authority) -> None:
    """As nothing else is told (RFC 7301 §3.2 leaves it open)."""
    context = authority.server(authority.issue("127.0.0.1"))
    # A server that has not heard of ALPN.
    with ChoosingEndpoint(context) as endpoint:
        client = auto(endpoint).connect()
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        session = endpoint.session()
        assert session.selected_alpn_protocol() is None
        assert isinstance(session, ssl.SSLSocket)
        assert session.recv(5) == b"GET /"
        session.sendall(OK.encode())
        assert client.read_response().text == "ok"
