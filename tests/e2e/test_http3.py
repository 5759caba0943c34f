"""HTTP/3 with clients: every request takes the same way as one of HTTP/1.1, over QUIC."""

import base64
import hashlib
import os
import socket

import pytest

from ..support.http2 import Http2Client
from ..support.http3 import Answer, both_ways
from ..support.server import pattern

REQUEST_CANCELLED = 0x10C


def test_a_request_is_told_of_as_any_other(h3, endpoint) -> None:
    """Endpoint, log, metrics and status know what it is; the connection goes on."""
    client, serving = h3(endpoint)
    stream = client.begin("/a?b=c", ("cookie", "x=1"), ("cookie", "y=2"), ("x-a", "b"))
    head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-B\r\nX-B: c\r\nX-C: d\r\n\r\nhi"
    peer, request = endpoint.serve(head)
    assert request.first == "GET /a?b=c HTTP/1.1"
    assert (request.one("Host"), request.one("Cookie"), request.one("X-A")) == ("shop.test", "x=1; y=2", "b")
    assert (request.one("X-Forwarded-For"), request.one("X-Forwarded-Proto")) == ("127.0.0.1", "https")
    answer = client.answer(stream)
    assert (answer.status, bytes(answer.body), answer.one("x-c"), answer.one("x-b")) == (200, b"hi", "d", None)
    assert answer.one("alt-svc") is None
    line = serving.balancer.access(target="/a?b=c")
    assert (line["protocol"], line["tls"], line["sni"], line["status"]) == ("HTTP/3.0", "1.3", "shop.test", 200)
    second = client.begin("/again")
    peer.read_request()
    peer.send("HTTP/1.1 204 No Content\r\n\r\n")
    assert client.answer(second).status == 204
    assert serving.balancer.metric("evenly_http3_connections_total", listener="web") == 1
    assert serving.balancer.metric("evenly_tls_handshakes_total", listener="web", version="1.3") == 1
    assert serving.balancer.status()["listeners"][0]["http3"] == {
        "connections": 1, "migrations": 0, "retries": 0, "lost_packets": 0,
        "ended_streams": {}, "ended_connections": {},
    }  # fmt: skip


def test_bodies_of_megabytes_go_both_ways(h3, servers) -> None:
    """Whole and in order, far beyond every window, and never standing still.

    EVENLY_BODY_MIB=100 has it do so with more; `pytest -s` shows how fast that is, most of which is `aioquic`'s time.
    """
    client, _ = h3(*servers("a"))
    print(both_ways(client, int(os.environ.get("EVENLY_BODY_MIB", "10")) << 20))


def test_without_a_length(h3, endpoint) -> None:
    """What has none is chunked towards the endpoint, and ends by itself towards the client."""
    client, _ = h3(endpoint)
    stream = client.begin("/up", method="POST", is_end=False)
    client.data(stream, b"hello", is_end=False)
    client.data(stream, b" world")
    answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
    _, request = endpoint.serve(answer)
    assert request.one("Transfer-Encoding") == "chunked"
    assert request.body == b"hello world"
    told = client.answer(stream)
    assert (told.status, bytes(told.body), told.one("transfer-encoding")) == (200, b"abc", None)


def test_many_at_once(h3, servers) -> None:
    """More than may be open at once wait for their turn, and a held one holds up none."""
    backends = servers("a")
    client, serving = h3(*backends, listener="limits = { streams = 20 }")
    held = client.begin("/hold")
    streams = [client.begin(f"/bytes/{number}") for number in range(100)]
    for number, stream in enumerate(streams):
        assert client.answer(stream).body == pattern(0, number)
    assert not client.answers[held].heads
    backends.release()
    assert client.answer(held).status == 200
    assert serving.balancer.metric("evenly_connections_total", listener="web") == 1


def test_answers_without_content(h3, endpoint) -> None:
    """They end with their heads: to HEAD, and by their status. An interim one ends nothing."""
    client, _ = h3(endpoint)
    for method, head in (("HEAD", "200 OK"), ("GET", "304 Not Modified")):
        stream = client.begin("/", method=method)
        endpoint.serve(
            f"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 {head}\r\nX-A: b\r\nConnection: close\r\n\r\n"
        )
        answer = client.answer(stream)
        assert [dict(head)[":status"] for head in answer.heads] == ["103", head[:3]]
        assert (answer.one("x-a"), bytes(answer.body)) == ("b", b"")


def test_other_versions_say_where_it_is(h3, servers, authority) -> None:
    """`Alt-Svc` is in the answers of HTTP/1.1 and HTTP/2, unless an endpoint has said something else."""
    _, serving = h3(*servers("a"), routes='[[routes]]\npath = "/own"\nrespond = { status = 200, body = "x" }\n')
    said = f'h3=":{serving.port.number}"; ma=86400'
    with authority.connect(serving.port.address) as client:
        assert client.ask("/", host="shop.test").one("Alt-Svc") == said
        assert client.ask("/own", host="shop.test").one("Alt-Svc") == said
    context = authority.context(alpn=["h2"])
    secure = context.wrap_socket(socket.create_connection(serving.port.address, 10), server_hostname="shop.test")
    with Http2Client(secure) as client:
        assert client.ask("/").one("alt-svc") == said


def test_an_endpoint_has_the_last_word_on_alt_svc(h3, endpoint, authority) -> None:
    """What it says stays, alone."""
    _, serving = h3(endpoint)
    with authority.connect(serving.port.address) as client:
        client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        endpoint.serve("HTTP/1.1 200 OK\r\nAlt-Svc: clear\r\nContent-Length: 0\r\n\r\n")
        assert client.read_response().all("Alt-Svc") == ["clear"]


def test_a_request_that_is_given_up(h3, endpoint) -> None:
    """Its endpoint's connection is closed, as for a client that has gone; others go on."""
    client, serving = h3(endpoint)
    stream = client.begin("/gone", method="POST", is_end=False)
    peer = endpoint.accept()
    peer.read_head()
    client.quic.reset_stream(stream, REQUEST_CANCELLED)
    client.quic.stop_stream(stream, REQUEST_CANCELLED)
    client.flush()
    peer.expect_end()
    assert serving.balancer.access(target="/gone")["reason"] == "client-gone"
    stream = client.begin("/next")
    endpoint.serve()
    assert client.answer(stream).status == 200


def test_an_answer_that_breaks_off(h3, endpoint) -> None:
    """The client sees that it is not the whole."""
    client, _ = h3(endpoint)
    stream = client.begin("/")
    peer, _ = endpoint.serve("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    peer.close()
    answer = client.answer(stream)
    assert answer.reset == 0x102
    assert not answer.is_ended


def test_who_takes_nothing_holds_nobody_up(h3, servers) -> None:
    """A response that nobody takes keeps neither its connection nor much memory."""
    client, serving = h3(*servers("a"), client={"max_stream_data": 10_000})
    # Never more than the first window: the client does not open it again.
    client.quic._write_stream_limits = lambda *_, **__: None
    held = client.begin("/bytes/50000000")
    client.until(lambda: client.answers[held].body)
    before = serving.balancer.memory()
    for _ in range(5):
        assert bytes(client.get("/small").body) == b"a"
    assert len(client.answers[held].body) < 10_000
    assert serving.balancer.memory() - before < 4 << 20


def test_sessions_are_resumed(h3, servers) -> None:
    """By the tickets that TLS over TCP has, too; early data is not taken where no route is for it."""
    client, serving = h3(*servers("a"))
    client.until(lambda: client.tickets)
    assert client.tickets[0].max_early_data_size in (None, 0)
    again = serving.h3(ticket=client.tickets[0])
    assert again.is_resumed
    assert again.get("/again").status == 200
    assert serving.balancer.access(target="/again")["tls_resumed"] is True


@pytest.mark.parametrize("first", ["client", "endpoint"])
def test_websocket(h3, endpoint, first) -> None:
    """RFC 9220: the endpoint sees an Upgrade of HTTP/1.1, bytes go both ways, and either side may end it."""
    client, _ = h3(endpoint)
    client.until(lambda: client.h3.received_settings)
    assert client.h3.received_settings[8] == 1
    stream = client.begin(
        "/chat", (":protocol", "websocket"), ("sec-websocket-version", "13"), method="CONNECT", is_end=False
    )
    peer = endpoint.accept()
    request = peer.read_request()
    assert request.first == "GET /chat HTTP/1.1"
    key = (request.one("Sec-WebSocket-Key") or "").encode()
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    peer.send(
        f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\nfrom the server"
    )
    answer: Answer = client.answers[stream]
    client.until(lambda: answer.body == b"from the server")
    assert answer.status == 200
    client.data(stream, b"from the client", is_end=False)
    assert peer.read_exactly(15) == b"from the client"
    if first == "client":
        client.data(stream, b"", is_end=True)
        peer.expect_end()
        peer.close()
    else:
        peer.close()
    client.until(lambda: answer.is_ended or answer.reset is not None)
