"""HTTP/2 to endpoints: requests share connections, and none is in another's way."""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from ..support.http2 import Http2Client, http2_clients
from ..support.http2_endpoint import Http2Endpoint, Http2Peer
from ..support.server import pattern

H2 = 'protocol = "h2"'
LOGGED = 'access_log = "-"'
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, ENABLE_CONNECT_PROTOCOL = 3, 4, 8
NO_ERROR, REFUSED_STREAM, CANCEL = 0, 7, 8
# :method GET, :scheme https, :path /, :authority test.
HEADERS = b"\x82\x87\x84\x41\x04test"
# RFC 9113 §6.1: a connection error.
DATA_ON_NO_STREAM = b"\0\0\1\0\0\0\0\0\0x"


@pytest.fixture
def playing() -> Iterator[Http2Endpoint]:
    """An endpoint that the test plays."""
    with Http2Endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def h2(web, playing):
    """A balancer before that endpoint: `serving = h2()`, and `serving.h2()` connects by HTTP/2."""

    def start(*more: object, pool: str = "", top: str = "", **parts: str):
        serving = web(playing, *more, pool=f"{H2}\n{pool}", top=f"{LOGGED}\n{top}", **parts)
        serving.h2 = partial(connect, serving.port.address)
        return serving

    with http2_clients() as connect:
        yield start


def test_what_the_endpoint_and_the_client_get(h2, playing) -> None:
    """A client of HTTP/1.1 before an endpoint of HTTP/2: fields, bodies both ways, and a log line as ever."""
    serving = h2()
    peer = serving.connect()
    peer.send("POST /a?b=c HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\nX-A: b\r\nKeep-Alive: 1\r\n\r\nbody")
    endpoint = playing.accept()
    asked = endpoint.request()
    head = asked.head
    assert (head[":method"], head[":path"], head[":authority"]) == ("POST", "/a?b=c", "shop.test")
    assert (head[":scheme"], head["x-a"], head["content-length"]) == ("http", "b", "4")
    assert head["x-forwarded-for"] == "127.0.0.1"
    assert not {"host", "connection", "keep-alive", "transfer-encoding"} & set(head)
    assert asked.body == b"body"
    endpoint.answer(asked.stream, b"hello", ("x-b", "c"), ("content-length", "5"))
    answer = peer.read_response()
    assert (answer.status, answer.body, answer.one("X-B"), answer.one("Content-Length")) == (200, b"hello", "c", "5")
    peer.send("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    asked = endpoint.request()
    assert (asked.body, asked.head.get("content-length")) == (b"abc", None)
    endpoint.answer(asked.stream, b"longer")
    answer = peer.read_response()
    assert (answer.body, answer.one("Transfer-Encoding")) == (b"longer", "chunked")
    peer.send("HEAD / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    endpoint.head(endpoint.request().stream, ("content-length", "7"), ends=True)
    assert peer.read_response("HEAD").one("Content-Length") == "7"
    line = serving.balancer.access(target="/a?b=c")
    assert (line["protocol"], line["status"], line["endpoint"]) == ("HTTP/1.1", 200, str(playing))
    assert not playing.is_asked(), "one connection serves all"


def test_streams_share_a_connection_up_to_its_limit(h2, playing) -> None:
    """As many as the endpoint allows; then another connection, also when many come at once."""
    serving = h2(pool="http2 = { max_streams = 8 }")
    client = serving.h2()
    streams = [client.begin(f"/{number}") for number in range(5)]
    first = playing.accept(settings={MAX_CONCURRENT_STREAMS: 3})
    asked = [first.request() for _ in range(3)]
    second = playing.accept()
    more = [second.request() for _ in range(2)]
    assert sorted(each.head[":path"] for each in asked + more) == ["/0", "/1", "/2", "/3", "/4"]
    for endpoint, requests in ((second, more), (first, asked)):
        for each in reversed(requests):
            endpoint.answer(each.stream, each.head[":path"].encode())
    client.wait(*streams)
    assert [client.answers[stream].text for stream in streams] == ["/0", "/1", "/2", "/3", "/4"]
    again = client.begin("/again")
    first.answer(first.request().stream)
    assert client.wait(again).text == "ok"
    assert serving.balancer.metric("evenly_upstream_connections_total", reused="false") == 2


def test_requests_wait_where_all_connections_are_full(h2, playing) -> None:
    """No more connections than allowed; who waits is served when a stream ends, or told so in time."""
    serving = h2(pool='http2 = { max_streams = 1, max_connections = 1 }\ntimeouts = { connect = "300ms" }\nretry = 1')
    client = serving.h2()
    first, second = client.begin("/1"), client.begin("/2")
    endpoint = playing.accept()
    asked = endpoint.request()
    endpoint.answer(asked.stream)
    assert client.wait(first).text == "ok"
    asked = endpoint.request()
    assert asked.head[":path"] == "/2"
    third = client.begin("/3")
    assert client.wait(third).status == 504
    assert serving.balancer.access(target="/3")["reason"] == "connect-timeout"
    endpoint.answer(asked.stream)
    assert client.wait(second).text == "ok"
    assert not playing.is_asked()


def test_who_waits_longest_is_served_first(h2, playing) -> None:
    """Requests that found no place get theirs in the order in which they came, and none is passed by a later one."""
    serving = h2(pool="http2 = { max_streams = 1, max_connections = 1 }")
    client = serving.h2()
    streams = {f"/{number}": client.begin(f"/{number}") for number in range(20)}
    client.h2.reset_stream(streams.pop("/7"), CANCEL)
    client.flush()
    endpoint = playing.accept()
    for path, stream in streams.items():
        asked = endpoint.request()
        assert asked.head[":path"] == path
        endpoint.answer(asked.stream)
        assert client.wait(stream).text == "ok"


def test_an_endpoint_that_takes_nothing_is_heard_all_the_same(h2, playing) -> None:
    """Two ends that each wait until the other reads would wait for ever."""
    serving = h2()
    asking, sending = serving.h2(), serving.h2()
    stream = asking.begin("/asking")
    endpoint = playing.accept(settings={INITIAL_WINDOW_SIZE: 1 << 24})
    asked = endpoint.request()
    endpoint.h2.increment_flow_control_window(1 << 24)
    endpoint.flush()
    # Its socket and the balancer's fill up with several bodies, until nothing moves for a while.
    for _ in range(6):
        body, is_open = sending.begin("/body", method="POST", ends=False), True
        while is_open:
            while room := sending.h2.local_flow_control_window(body):
                sending.send(body, bytes(min(room, sending.h2.max_outbound_frame_size)), ends=False)
            if is_open := bool(select.select([sending.socket], [], [], 0.5)[0]):
                sending.receive()
    endpoint.answer(asked.stream)
    assert asking.wait(stream).text == "ok"


def test_large_bodies_both_ways_at_the_pace_of_the_slower_side(h2, playing) -> None:
    """Some megabytes through windows of 64 KiB; a client that takes nothing holds up its own stream alone."""
    serving = h2()
    slow, quick = serving.h2(takes=False), serving.h2()
    body = pattern(0, 3 << 20)
    held = slow.begin("/slow")
    endpoint = playing.accept()
    asked = endpoint.request()
    endpoint.head(asked.stream)
    # What fits: the client's window, what is on its way, and the stream's own window.
    sent = 0
    while room := endpoint.h2.local_flow_control_window(asked.stream):
        piece = min(room, endpoint.h2.max_outbound_frame_size)
        endpoint.data(asked.stream, body[sent : sent + piece])
        sent += piece
        serving.balancer.admin.get("/metrics")
        endpoint.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            endpoint.receive()
        endpoint.socket.settimeout(10)
        assert sent < 1 << 20, "somebody stores what nobody takes"
    stream = quick.begin("/quick", method="POST", ends=False)
    quick.send(stream, body[: 1 << 10], ends=False)
    other = endpoint.begun()
    reading = threading.Thread(target=lambda: quick.send(stream, body[1 << 10 :]))
    reading.start()
    endpoint.wait(lambda: other.is_ended)
    reading.join(10)
    assert other.body == body
    endpoint.head(other.stream, ("content-length", str(len(body))))
    writing = threading.Thread(target=lambda: endpoint.data(other.stream, body, ends=True))
    writing.start()
    assert quick.wait(stream).body == body
    writing.join(10)
    assert not slow.answers[held].is_ended


def test_a_client_that_goes_resets_its_stream_alone(h2, playing) -> None:
    """The endpoint is told of one stream, and the connection carries the others on."""
    serving = h2()
    one, other = serving.h2(), serving.h2()
    gone = one.begin("/gone")
    endpoint = playing.accept()
    asked = endpoint.request()
    stays = other.begin("/stays")
    staying = endpoint.request()
    one.h2.reset_stream(gone, CANCEL)
    one.flush()
    endpoint.wait(lambda: asked.reset is not None)
    assert asked.reset == CANCEL
    endpoint.answer(staying.stream)
    assert other.wait(stays).text == "ok"
    assert serving.balancer.access(target="/gone")["reason"] == "client-gone"


@pytest.mark.parametrize("how", ["goaway", "refused"])
def test_what_an_endpoint_has_not_looked_at_is_sent_again(h2, playing, how) -> None:
    """Also a POST with a body, which is not repeated otherwise; and no failure is held against the endpoint."""
    serving = h2(pool="outlier_detection = { consecutive_5xx = 1, consecutive_local_origin_failure = 1 }")
    client = serving.h2()
    before = client.begin("/before")
    endpoint = playing.accept()
    working = endpoint.request()
    stream = client.begin("/again", method="POST", ends=False)
    client.send(stream, b"body")
    asked = endpoint.request()
    if how == "goaway":
        endpoint.go_away(working.stream)
        endpoint = playing.accept()
    else:
        endpoint.reset(asked.stream, REFUSED_STREAM)
    asked = endpoint.request()
    assert (asked.head[":path"], asked.body) == ("/again", b"body")
    endpoint.answer(asked.stream)
    assert client.wait(stream).text == "ok"
    playing.accepted[0].answer(working.stream, b"old")
    assert client.wait(before).text == "old"
    assert serving.balancer.access(target="/again")["attempts"] == 2
    if how == "goaway":
        playing.accepted[0].wait(lambda: playing.accepted[0].goaway or playing.accepted[0].is_closed)


# It would be next, if the other one was ejected.
BACKUP = '{ address = "127.0.0.1:1", backup = true }'


@pytest.mark.parametrize("is_breach", [False, True])
def test_a_connection_that_dies_counts_once(h2, playing, is_breach) -> None:
    """Its streams are told; those that may be are sent again; outlier detection sees one failure, not twenty.

    Also where it ends because the endpoint breaks a rule: none of the streams has done so.
    """
    serving = h2(
        BACKUP,
        pool="retry = 1\noutlier_detection = { consecutive_5xx = 2, consecutive_local_origin_failure = 2, "
        'max_ejection_percent = "100%", interval = "100ms" }',
    )
    client = serving.h2()
    streams = [client.begin(f"/{number}", method="POST") for number in range(20)]
    endpoint = playing.accept()
    for _ in streams:
        endpoint.request()
    if is_breach:
        endpoint.socket.sendall(DATA_ON_NO_STREAM)
    else:
        endpoint.socket.close()
    client.wait(*streams)
    assert {client.answers[stream].status for stream in streams} == {502}
    assert serving.balancer.access(target="/0")["reason"] == "upstream-closed"
    again = client.begin("/again")
    endpoint = playing.accept()
    endpoint.answer(endpoint.request().stream)
    assert client.wait(again).text == "ok"
    assert serving.balancer.metric("evenly_endpoint_ejections_total") == 0


def test_a_connection_that_cannot_be_made_counts_once(h2, playing) -> None:
    """However many requests have waited for it."""
    serving = h2(
        BACKUP,
        pool="retry = 1\noutlier_detection = { consecutive_5xx = 2, consecutive_local_origin_failure = 2, "
        'max_ejection_percent = "100%", interval = "100ms" }',
    )
    client = serving.h2()
    # At once, so that all of them wait for the same one.
    client.socket.sendall(b"".join(client.frame(1, 5, 2 * number + 1, HEADERS) for number in range(20)))
    playing.socket.accept()[0].close()
    serving.balancer.until(lambda: serving.balancer.metric("evenly_requests_total", listener="web", code="502") == 20)
    assert serving.balancer.access(target="/")["reason"] == "connect-failed"
    again = serving.h2()
    stream = again.begin("/again")
    endpoint = playing.accept()
    endpoint.answer(endpoint.request().stream)
    assert again.wait(stream).text == "ok"
    assert serving.balancer.metric("evenly_endpoint_ejections_total") == 0


@pytest.mark.parametrize(
    ("fields", "ends"),
    [
        ([(":status", "200"), ("connection", "close")], False),
        ([(":status", "200"), ("x-a", "b\r\nx-c: d")], False),
        ([(":status", "200"), ("X-A", "b")], False),
        ([(":status", "20")], False),
        ([("x-a", "b")], False),
        ([(":status", "200"), ("content-length", "5")], True),
    ],
)
def test_bad_fields_end_their_stream_alone(h2, playing, fields, ends) -> None:
    """502 `response-bad`, the stream is reset, and the next request takes the same connection."""
    serving = h2()
    client = serving.h2()
    stream = client.begin("/bad")
    endpoint = playing.accept()
    asked = endpoint.request()
    endpoint.h2.send_headers(asked.stream, fields, end_stream=ends)
    endpoint.flush()
    assert client.wait(stream).status == 502
    assert serving.balancer.access(target="/bad")["reason"] == "response-bad"
    endpoint.wait(lambda: ends or asked.reset is not None)
    again = client.begin("/again")
    endpoint.answer(endpoint.request().stream)
    assert client.wait(again).text == "ok"


def test_trailers_both_ways(h2, playing) -> None:
    """Behind a body and behind none; and an answer whose length is told, too."""
    serving = h2()
    client = serving.h2()
    stream = client.begin("/", ("te", "trailers"), method="POST", ends=False)
    client.send(stream, b"body", ends=False)
    client.h2.send_headers(stream, [("x-sum", "1"), ("x-more", "2")], end_stream=True)
    client.flush()
    endpoint = playing.accept()
    asked = endpoint.request()
    assert (asked.body, asked.trailers) == (b"body", [("x-sum", "1"), ("x-more", "2")])
    endpoint.answer(asked.stream, b"answer", trailers=[("x-sum", "3")])
    answer = client.wait(stream)
    assert (answer.text, answer.trailers) == ("answer", [("x-sum", "3")])
    for body, fields in ((b"", []), (b"four", [("content-length", "4")])):
        stream = client.begin("/")
        endpoint.answer(endpoint.request().stream, body, *fields, trailers=[("x-sum", "5")])
        answer = client.wait(stream)
        assert (answer.body, answer.trailers) == (body, [("x-sum", "5")])


def test_trailers_to_clients_of_http1_that_take_them(h2, playing) -> None:
    """In the last chunk of the body; who does not say that it takes them gets the body alone."""
    peer = h2().connect()
    for fields, last in (("TE: trailers\r\nConnection: TE\r\n", b"0\r\nx-sum: 1\r\n\r\n"), ("", b"0\r\n\r\n")):
        peer.send(f"GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
        endpoint = playing.accepted[0] if playing.accepted else playing.accept()
        asked = endpoint.request()
        assert asked.head.get("te") == ("trailers" if fields else None)
        endpoint.answer(asked.stream, b"answer", trailers=[("x-sum", "1")])
        assert peer.read_head().one("Transfer-Encoding") == "chunked"
        assert peer.read_exactly(11 + len(last)) == b"6\r\nanswer\r\n" + last


def test_trailers_of_endpoints_of_http1(web, endpoint) -> None:
    """A client of HTTP/2 that takes them gets them, however they are cut; fields that may not be there do not pass."""
    serving = web(endpoint)
    with Http2Client(socket.create_connection(serving.port.address, 10)) as client:
        stream = client.begin("/", ("te", "trailers"))
        peer = endpoint.accept()
        request = peer.read_request()
        assert (request.one("TE"), request.one("Connection")) == ("trailers", "TE")
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-S")
        while client.answers[stream].body != b"hi":
            client.receive()
        peer.send("um: 1\r\nContent-Length: 5\r\nx-more: 2\r\n\r\n")
        answer = client.wait(stream)
        assert (answer.text, answer.trailers) == ("hi", [("x-sum", "1"), ("x-more", "2")])
        stream = client.begin("/")
        assert peer.read_request().one("TE") is None
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")
        answer = client.wait(stream)
        assert (answer.text, answer.trailers) == ("hi", None)


def test_requests_and_answers_at_once(h2, playing) -> None:
    """An answer that begins before its request ends; each side ends its half by itself."""
    client = h2().h2()
    stream = client.begin("/", method="POST", ends=False)
    client.send(stream, b"one", ends=False)
    endpoint = playing.accept()
    asked = endpoint.begun()
    endpoint.wait(lambda: asked.body == b"one")
    endpoint.head(asked.stream)
    endpoint.data(asked.stream, b"eins")
    client.wait_head(stream)
    while client.answers[stream].body != b"eins":
        client.receive()
    client.send(stream, b"two")
    endpoint.wait(lambda: asked.is_ended)
    assert asked.body == b"onetwo"
    endpoint.data(asked.stream, b"zwei", ends=True)
    assert client.wait(stream).body == b"einszwei"
    assert client.answers[stream].reset is None


def test_tunnels_where_the_endpoint_takes_them(h2, playing) -> None:
    """WebSocket becomes extended CONNECT (RFC 8441); without that, the client is told that it cannot be."""
    serving = h2(routes='[[routes]]\npool = "app"\nallow_upgrade = true\n')
    upgrade = (
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    peer = serving.connect()
    peer.send(upgrade)
    endpoint = playing.accept(settings={ENABLE_CONNECT_PROTOCOL: 1})
    asked = endpoint.begun()
    assert (asked.head[":method"], asked.head[":protocol"]) == ("CONNECT", "websocket")
    endpoint.head(asked.stream)
    answer = peer.read_response("HEAD")
    assert (answer.status, answer.one("Sec-WebSocket-Accept")) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    peer.send(b"there")
    endpoint.wait(lambda: asked.body == b"there")
    endpoint.data(asked.stream, b"back")
    assert peer.read_exactly(4) == b"back"
    peer.close()
    endpoint.wait(lambda: asked.is_ended or asked.reset is not None)
    endpoint.go_away(asked.stream)
    peer = serving.connect()
    peer.send(upgrade)
    playing.accept()
    assert peer.read_response().status == 501


def test_reloads_keep_connections_and_close_those_to_endpoints_that_are_gone(h2, playing, endpoint) -> None:
    """What a reload does not concern goes on; what it took away ends with its last stream."""
    serving = h2()
    client = serving.h2()
    client.begin("/1")
    peer = playing.accept()
    peer.answer(peer.request().stream)
    serving.balancer.reload(serving.balancer.file.read_text().replace("workers = 1", "workers = 1\n"))
    stream = client.begin("/2")
    peer.answer(peer.request().stream)
    assert client.wait(stream).text == "ok"
    under_way = client.begin("/3")
    asked = peer.request()
    serving.balancer.reload(serving.balancer.file.read_text().replace(str(playing), str(endpoint)))
    peer.answer(asked.stream, b"late")
    assert client.wait(under_way).text == "late"
    peer.wait(lambda: peer.goaway is not None)


def test_an_endpoint_that_speaks_something_else(h2, playing) -> None:
    """It is found out before a request is sent."""
    serving = h2(pool="retry = 1")
    client = serving.h2()
    stream = client.begin("/")
    sock = playing.socket.accept()[0]
    with sock:
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        assert client.wait(stream).status == 502
    assert serving.balancer.access(target="/")["reason"] == "connect-failed"


def test_over_tls_it_is_agreed_on(web, playing, authority) -> None:
    """The endpoint is offered it alone; requests share the session."""
    files = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    context.set_alpn_protocols(["http/1.1", "h2"])
    serving = web(f"https://localhost:{playing.port}", pool=f'{H2}\ntls = {{ ca = "{authority.bundle}" }}')
    one, other = serving.connect(), serving.connect()
    one.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint = Http2Peer(context.wrap_socket(playing.socket.accept()[0], server_side=True))
    playing.accepted.append(endpoint)
    asked = endpoint.request()
    assert (asked.head[":scheme"], endpoint.socket.selected_alpn_protocol()) == ("https", "h2")
    other.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.answer(endpoint.request().stream, b"two")
    assert other.read_response().body == b"two"
    endpoint.answer(asked.stream, b"one")
    assert one.read_response().body == b"one"


def test_an_idle_connection_ends_and_a_silent_one_is_asked(h2, playing) -> None:
    """GOAWAY after the idle timeout; PING on silence, and without an answer the streams are lost."""
    serving = h2(pool='http2 = { ping_after = "200ms" }\nkeepalive = { idle_timeout = "300ms" }\nretry = 1')
    client = serving.h2()
    stream = client.begin("/silent")
    peer = playing.accept()
    asked = peer.request()
    peer.wait(lambda: peer.pings)
    peer.answer(asked.stream)
    assert client.wait(stream).text == "ok"
    peer.wait(lambda: peer.goaway is not None)
    assert peer.goaway.error_code == NO_ERROR
