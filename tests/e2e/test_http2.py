"""HTTP/2 with clients: every request takes the same way as one of HTTP/1.1, and none is in another's way."""

import base64
import hashlib
import socket
import subprocess
import threading

import pytest

from ..support.http2 import Http2Client
from ..support.programs import program
from ..support.server import pattern

SECURE = 'tls = { certificates = "site" }'
ENABLE_CONNECT_PROTOCOL = 8
REFUSED_STREAM, CANCEL, PROTOCOL_ERROR, NO_ERROR = 7, 8, 1, 0


@pytest.fixture
def h2(web):
    """A balancer, and connections to it by prior knowledge: `client, serving = h2(endpoint)`."""
    clients = []

    def start(*endpoints: object, **parts: str):
        client = parts.pop("client", {})
        serving = web(*endpoints, top='access_log = "-"\n' + parts.pop("top", ""), **parts)

        def connect(**options: object) -> Http2Client:
            connected = Http2Client(socket.create_connection(serving.port.address, 10), **{**client, **options})
            clients.append(connected)
            return connected

        serving.h2 = connect
        return connect(), serving

    yield start
    for client in clients:
        client.socket.close()


def test_curl_over_tls(web, servers, authority, tmp_path) -> None:
    """ALPN agrees on it; bodies of some megabytes go both ways; log and endpoint know."""
    site = authority.issue("shop.test")
    serving = web(*servers("a"), listener=SECURE, top='access_log = "-"', routes=site.table("site"))
    size = 3 << 20
    (body := tmp_path / "body").write_bytes(pattern(0, size))
    port = serving.port.number
    curl = [
        program("curl"), "-sS", "--http2", "--cacert", str(authority.bundle),
        "--resolve", f"shop.test:{port}:127.0.0.1", "-w", "%{http_version} %{http_code}", "-o", str(tmp_path / "out"),
    ]  # fmt: skip
    for arguments in (
        [f"https://shop.test:{port}/bytes/{size}"],
        ["--data-binary", f"@{body}", f"https://shop.test:{port}/echo"],
    ):
        told = subprocess.run([*curl, *arguments], capture_output=True, text=True, timeout=60, check=True)
        assert told.stdout == "2 200"
        assert (tmp_path / "out").read_bytes() == pattern(0, size)
    line = serving.balancer.access(target="/echo")
    assert (line["protocol"], line["tls"], line["status"]) == ("HTTP/2.0", "1.3", 200)
    assert serving.balancer.metric("evenly_http2_connections_total", listener="web") == 2


def test_what_the_endpoint_gets(h2, endpoint) -> None:
    """A request of HTTP/1.1, with one Host and one Cookie, and nothing that only the client's connection is about."""
    client, _ = h2(endpoint)
    stream = client.begin("/a?b=c", ("cookie", "x=1"), ("cookie", "y=2"), ("te", "trailers"), ("x-a", "b"))
    _, request = endpoint.serve("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-B\r\nX-B: c\r\nX-C: d\r\n\r\nhi")
    assert request.first == "GET /a?b=c HTTP/1.1"
    assert request.one("Host") == "shop.test"
    assert request.one("Cookie") == "x=1; y=2"
    assert request.one("X-A") == "b"
    assert request.one("X-Forwarded-For") == "127.0.0.1"
    assert request.one("X-Forwarded-Proto") == "http"
    assert request.one("Transfer-Encoding") is None
    answer = client.wait(stream)
    assert (answer.status, answer.text, answer.one("x-c"), answer.one("x-b")) == (200, "hi", "d", None)
    assert answer.one("connection") is None


def test_bodies_without_a_length(h2, endpoint) -> None:
    """Requests go on in chunks; chunked responses, and those that end with the connection, come without."""
    client, _ = h2(endpoint)
    stream = client.begin("/", method="POST", ends=False)
    client.send(stream, b"some data")
    chunks = "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    peer, request = endpoint.serve(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
    assert request.one("Transfer-Encoding") == "chunked"
    assert request.body == b"some data"
    assert client.wait(stream).text == "abcde"
    stream = client.begin()
    peer.read_request()
    peer.send("HTTP/1.1 200 OK\r\n\r\nuntil the end")
    peer.close()
    answer = client.wait(stream)
    assert (answer.text, answer.reset) == ("until the end", None)


def test_a_cut_response_is_seen_to_be_cut(h2, endpoint) -> None:
    client, _ = h2(endpoint)
    stream = client.begin()
    peer, _ = endpoint.serve("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    client.wait_head(stream)
    peer.close()
    answer = client.wait(stream)
    assert (answer.body, answer.is_ended, answer.reset) == (b"half", False, 2)


def test_responses_without_a_body(h2, endpoint) -> None:
    client, _ = h2(endpoint)
    stream = client.begin(method="HEAD")
    peer, _ = endpoint.serve("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    answer = client.wait(stream)
    assert (answer.status, answer.body, answer.one("content-length")) == (200, b"", "10")
    for status in (204, 304):
        stream = client.begin()
        peer.read_request()
        peer.send(f"HTTP/1.1 {status} -\r\nETag: x\r\n\r\n")
        assert client.wait(stream).status == status


def test_interim_responses(h2, endpoint) -> None:
    client, _ = h2(endpoint)
    stream = client.begin()
    endpoint.serve("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
    answer = client.wait(stream)
    assert [dict(head)[":status"] for head in answer.heads] == ["103", "200"]
    assert dict(answer.heads[0])["link"] == "</a>"


def test_many_at_once(h2, servers) -> None:
    """A hundred requests on one connection, each with its own answer."""
    client, serving = h2(*servers("a"))
    streams = [client.begin(f"/bytes/{1000 + number}") for number in range(100)]
    client.wait(*streams)
    assert [len(client.answers[stream].body) for stream in streams] == [1000 + number for number in range(100)]
    assert serving.balancer.metric("evenly_http2_connections_total") == 1


def test_large_responses_take_turns(h2, servers) -> None:
    """Several at once, beside one that waits for its endpoint: all come whole, and none waits for another's end."""
    client, _ = h2(*servers("a"))
    held = client.begin("/hold")
    size = 2 << 20
    streams = [client.begin(f"/bytes/{size}") for _ in range(4)]
    client.wait_ended(*streams, count=1)
    assert all(client.answers[stream].body for stream in streams)
    client.wait(*streams)
    assert all(client.answers[stream].body == pattern(0, size) for stream in streams)
    assert not client.answers[held].heads


def test_one_too_many_is_refused(h2, endpoint) -> None:
    """A client that knows the limit and goes beyond it may try again elsewhere."""
    client, _ = h2(endpoint, listener="limits = { streams = 2 }")
    client.receive()
    first = client.begin("/1")
    endpoint.accept().read_request()
    second = client.begin("/2")
    client.h2.remote_settings[3] = 100
    client.h2.remote_settings.acknowledge()
    third = client.begin("/3")
    assert client.wait(third).reset == REFUSED_STREAM
    assert not client.answers[first].heads
    assert not client.answers[second].heads


def test_who_takes_nothing_holds_nobody_up(h2, servers) -> None:
    """A stream whose windows are shut keeps neither its connection nor much memory."""
    client, serving = h2(*servers("a"), client={"takes": False, "settings": {4: 1000}})
    held = client.begin("/bytes/50000000")
    client.wait_head(held)
    # What the control plane loads when it is first asked is not meant.
    serving.balancer.status()
    before = serving.balancer.memory()
    assert client.ask("/small").text == "a"
    assert len(client.answers[held].body) == 1000
    assert serving.balancer.memory() - before < 4 << 20


@pytest.mark.parametrize("window", [0, 1, 20_000])
def test_streams_that_take_nothing_hold_little(h2, servers, window) -> None:
    """A hundred large responses that nobody takes: of each some kilobytes are read, no more."""
    client, serving = h2(*servers("a"), client={"takes": False, "settings": {4: window}})
    serving.balancer.status()
    assert serving.h2(settings=None).ask("/small").text == "a"
    before = serving.balancer.memory()
    for stream in [client.begin("/bytes/50000000") for _ in range(100)]:
        client.wait_head(stream)
    # The kernel gives memory by 2 MiB; a buffer for each would be 6.5 MB.
    assert serving.balancer.memory() - before < 5 << 20


@pytest.mark.parametrize("window", [0, 1])
def test_a_shut_window_costs_nothing(h2, servers, window) -> None:
    """A stream whose client takes nothing is given up in the end, and is not worked for until then."""
    client, serving = h2(*servers("a"), listener='timeouts = { send = "2s" }\n', client={"takes": False})
    assert client.ask("/small").text == "a"
    client.h2.update_settings({4: window})
    client.flush()
    held = client.begin("/bytes/50000000")
    client.wait_head(held)
    # The control plane loads parts of itself when traffic flows already.
    serving.balancer.status()
    before = serving.balancer.cpu()
    client.wait(held)
    assert client.answers[held].reset is not None
    assert serving.balancer.cpu() - before < 0.25, "it was busy while it waited"


def test_a_stream_that_is_given_up(h2, endpoint) -> None:
    """Its endpoint's connection is closed, as for a client that has gone; others go on."""
    client, serving = h2(endpoint)
    stream = client.begin("/gone")
    peer = endpoint.accept()
    peer.read_request()
    client.h2.reset_stream(stream, CANCEL)
    client.flush()
    peer.expect_end()
    assert serving.balancer.access(target="/gone")["reason"] == "client-gone"
    stream = client.begin()
    endpoint.serve()
    assert client.wait(stream).status == 200


@pytest.mark.parametrize(
    ("fields", "method"),
    [
        ([("X-Upper", "a")], "GET"),
        ([("connection", "close")], "GET"),
        ([("transfer-encoding", "chunked")], "POST"),
        ([("te", "gzip")], "GET"),
        ([("x-a", "b\r\nX-Evil: 1")], "GET"),
        ([("x-a", "b\0")], "GET"),
        ([("x a", "b")], "GET"),
        ([("x:a", "b")], "GET"),
        ([("host", "other.test")], "GET"),
        ([(":path", "/again")], "GET"),
        ([("content-length", "1"), ("content-length", "2")], "POST"),
        ([("content-length", "+1")], "POST"),
    ],
)
def test_what_could_be_read_in_two_ways_goes_nowhere(h2, endpoint, fields, method) -> None:
    """Each way to smuggle by a downgrade ends its stream, is counted and logged, and leaves the connection alone."""
    client, serving = h2(endpoint)
    stream = client.begin("/evil", *fields, method=method)
    assert client.wait(stream).reset == PROTOCOL_ERROR
    assert serving.balancer.metric("evenly_http2_errors_total", scope="stream", reason="malformed") == 1
    assert serving.balancer.access(reason="http2-bad")["protocol"] == "HTTP/2.0"
    stream = client.begin()
    endpoint.serve()
    assert client.wait(stream).status == 200
    assert not endpoint.is_asked()


def test_a_body_that_is_not_as_long_as_it_says(h2, endpoint) -> None:
    """The endpoint never sees the end of it."""
    client, _ = h2(endpoint)
    stream = client.begin("/", ("content-length", "5"), method="POST", ends=False)
    client.send(stream, b"too long")
    assert client.wait(stream).reset == PROTOCOL_ERROR


def test_heads_that_are_too_large(h2, servers) -> None:
    """431, in the client's own words."""
    client, serving = h2(*servers("a"), listener='limits = { head = "1KiB", target = "512B" }')
    assert client.ask("/", ("x-long", "a" * 2000)).status == 431
    assert serving.balancer.access(status=431)["reason"] == "head-too-large"
    assert client.ask("/").text == "a"


@pytest.mark.parametrize("first", ["client", "endpoint"])
def test_websocket_over_http2(h2, endpoint, first) -> None:
    """RFC 8441: the endpoint sees an Upgrade of HTTP/1.1, bytes go both ways, and either side may end it."""
    client, _ = h2(endpoint)
    client.receive()
    assert client.h2.remote_settings.enable_connect_protocol == 1
    stream = client.begin(
        "/chat", (":protocol", "websocket"), ("sec-websocket-version", "13"), method="CONNECT", ends=False
    )
    peer = endpoint.accept()
    request = peer.read_request()
    assert request.first == "GET /chat HTTP/1.1"
    assert (request.one("Upgrade") or "").lower() == "websocket"
    key = (request.one("Sec-WebSocket-Key") or "").encode()
    assert len(key) == 24
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    peer.send(
        f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\nfrom the server"
    )
    assert client.wait_head(stream).status == 200
    client.send(stream, b"from the client", ends=False)
    assert peer.read_exactly(15) == b"from the client"
    if first == "endpoint":
        peer.half_close()
        client.wait(stream)
    client.h2.end_stream(stream)
    client.flush()
    peer.expect_end()
    peer.close()
    assert client.wait(stream).text == "from the server"


def test_websocket_where_it_is_not_allowed(h2, endpoint) -> None:
    """Refused, and not taken for an ordinary request."""
    client, serving = h2(endpoint, routes='[[routes]]\npool = "app"\nallow_upgrade = false\n')
    client.receive()
    stream = client.begin("/chat", (":protocol", "websocket"), method="CONNECT", ends=False)
    assert client.wait(stream).status == 405
    assert serving.balancer.access(target="/chat")["reason"] == "tunnel-refused"
    assert not endpoint.is_asked()


def test_websocket_that_a_route_answers_itself(h2, endpoint) -> None:
    """Its 200 would be taken for an open tunnel; what is no success is passed on as it is."""
    routes = "".join(
        f'[[routes]]\npath = "/{status}"\nrespond = {{ status = {status} }}\n' for status in (200, 204, 503)
    )
    client, serving = h2(endpoint, routes=f'{routes}[[routes]]\npool = "app"\n')
    client.receive()
    for path, status in (("/200", 501), ("/204", 501), ("/503", 503)):
        stream = client.begin(path, (":protocol", "websocket"), method="CONNECT", ends=False)
        assert client.wait(stream).status == status
    assert serving.balancer.access(target="/204")["reason"] == "not-implemented"
    assert not endpoint.is_asked()


def test_a_websocket_that_breaks_off(h2, endpoint) -> None:
    """The endpoint resets its connection: so is the stream, in the words for that (RFC 8441 §5)."""
    client, _ = h2(endpoint)
    client.receive()
    fields = (":protocol", "websocket"), ("sec-websocket-version", "13")
    stream = client.begin("/chat", *fields, method="CONNECT", ends=False)
    peer = endpoint.accept()
    key = (peer.read_request().one("Sec-WebSocket-Key") or "").encode()
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    peer.send(
        f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    assert client.wait_head(stream).status == 200
    peer.reset()
    assert client.wait(stream).reset == CANCEL


def test_websocket_that_the_endpoint_accepts_wrongly(h2, endpoint) -> None:
    """It has read another request: the stream is reset, and the log says whose doing it was."""
    client, serving = h2(endpoint)
    client.receive()
    stream = client.begin("/chat", (":protocol", "websocket"), method="CONNECT", ends=False)
    endpoint.serve(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )
    assert client.wait(stream).reset is not None
    assert serving.balancer.access(target="/chat")["reason"] == "response-bad"


def test_websocket_that_the_endpoint_takes_for_a_request(h2, endpoint) -> None:
    """A 200 would say that there is a tunnel."""
    client, _ = h2(endpoint)
    client.receive()
    stream = client.begin("/chat", (":protocol", "websocket"), method="CONNECT", ends=False)
    endpoint.serve("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    assert client.wait(stream).status == 502


def test_a_drain_says_goodbye(h2, endpoint) -> None:
    """GOAWAY comes at once, what is under way is finished, and then the connection ends."""
    client, serving = h2(endpoint)
    stream = client.begin("/last")
    peer = endpoint.accept()
    peer.read_request()
    drained = threading.Thread(target=serving.balancer.end)
    drained.start()
    assert client.wait_goaway().error_code == NO_ERROR
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast")
    assert client.wait(stream).text == "last"
    assert client.wait_closed().last_stream_id == stream
    drained.join(20)


def test_idle_connections_end(h2, servers) -> None:
    client, _ = h2(*servers("a"), listener='timeouts = { idle = "200ms" }')
    assert client.ask().text == "a"
    assert client.wait_closed().error_code == NO_ERROR


def test_half_a_frame_is_not_waited_for_long(h2, servers) -> None:
    client, _ = h2(*servers("a"), listener='timeouts = { header = "200ms" }')
    client.socket.sendall(client.frame(1, 4, 1, b"\x82" * 20)[:12])
    assert client.wait_closed() is not None


def test_a_preface_in_pieces(web, servers) -> None:
    """Whether it is HTTP/2 shows only when all of it is there."""
    serving = web(*servers("a"))
    peer = serving.connect()
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0":
        peer.send(bytes([byte]))
    assert peer.read_exactly(9)[3] == 4


def test_without_http2(web, servers, authority) -> None:
    """`http2 = false`: ALPN does not offer it, and its preface is a bad request."""
    site = authority.issue("shop.test")
    serving = web(*servers("a"), listener=SECURE + "\nhttp2 = false", routes=site.table("site"))
    with authority.connect(serving.port, alpn=["h2", "http/1.1"]) as client:
        assert client.session.selected_alpn_protocol() == "http/1.1"
        assert client.ask().text == "a"


def test_the_preface_where_http2_is_off(web, servers) -> None:
    serving = web(*servers("a"), listener="http2 = false")
    peer = serving.connect()
    peer.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert peer.read_response().status in (400, 505)
