"""Trailers: what comes behind a body gets through, whichever HTTP either side speaks; none does that would decide."""

import socket
from collections.abc import Iterator

import pytest

from ..support.grpc_server import GrpcServer
from ..support.http2 import Http2Client
from ..support.http2_endpoint import Http2Endpoint
from ..support.http3 import Http3Client

H2 = 'protocol = "h2"'
GRPC = ("content-type", "application/grpc"), ("te", "trailers")
# They would route, guard or frame the message, or speak in the balancer's name.
BARRED = ["authorization", "content-type", "x-forwarded-for", "x_forwarded_for", "if-match", "set-cookie", "x-removed"]
RULES = 'request_headers = { remove = ["X-Removed"] }\nresponse_headers = { remove = ["X-Removed"] }'
ROUTES = f'[[routes]]\npool = "app"\n{RULES}\n'


@pytest.fixture
def playing() -> Iterator[Http2Endpoint]:
    """An endpoint that the test plays."""
    with Http2Endpoint() as endpoint:
        yield endpoint


def message(text: bytes) -> bytes:
    """A message of gRPC, as it is in a body."""
    return b"\0" + len(text).to_bytes(4, "big") + text


def test_both_ways_between_http3_and_http2(h3, playing) -> None:
    """Behind a body and behind none; an answer whose length is told, too; and what may not be there does not pass."""
    client, serving = h3(playing, pool=H2, routes=ROUTES)
    barred = [(name, "1") for name in BARRED]
    stream = client.begin("/", method="POST", is_end=False)
    client.data(stream, b"body", is_end=False)
    client.headers(stream, [("x-sum", "1"), *barred, ("x-more", "2")], is_end=True)
    endpoint = playing.accept()
    asked = endpoint.request()
    assert (asked.body, asked.trailers) == (b"body", [("x-sum", "1"), ("x-more", "2")])
    endpoint.answer(asked.stream, b"answer", trailers=[*barred, ("x-sum", "3")])
    answer = client.answer(stream)
    assert (bytes(answer.body), answer.heads[1:]) == (b"answer", [[("x-sum", "3")]])
    for body, fields in ((b"", []), (b"four", [("content-length", "4")]), (b"x" * 300_000, [])):
        stream = client.begin("/")
        endpoint.answer(endpoint.request().stream, body, *fields, trailers=[("x-sum", "5")])
        answer = client.answer(stream)
        assert (bytes(answer.body), answer.heads[1:]) == (body, [[("x-sum", "5")]])
    assert serving.balancer.metric("evenly_connections_total", listener="web") == 1


def test_between_http3_and_http1(h3, endpoint) -> None:
    """The endpoint hears of those that were announced, and is told that others are welcome."""
    client, _ = h3(endpoint)
    fields = ("te", "trailers"), ("trailer", "x-sum, Authorization"), ("trailer", "x-more")
    stream = client.begin("/", *fields, method="POST", is_end=False)
    client.data(stream, b"body", is_end=False)
    client.headers(stream, [("x-sum", "1"), ("authorization", "2"), ("x-more", "3")], is_end=True)
    peer = endpoint.accept()
    head = peer.read_head()
    assert (head.one("Trailer"), head.one("TE"), head.one("Connection")) == ("x-sum, x-more", "trailers", "TE")
    ending = b"4\r\nbody\r\n0\r\nx-sum: 1\r\nx-more: 3\r\n\r\n"
    assert peer.read_exactly(len(ending)) == ending
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 4\r\nDate: x\r\n\r\n")
    answer = client.answer(stream)
    assert (bytes(answer.body), answer.heads[1:]) == (b"hi", [[("x-sum", "4")]])


@pytest.mark.parametrize("cut", [1, 7, 11, 20, 30, 40])
def test_of_requests_of_http1(web, endpoint, cut) -> None:
    """Those that were announced, however they are cut; none of a request that announces none."""
    serving = web(endpoint)
    client = serving.connect()
    body = b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nHost: evil\r\nX-More: 2\r\n\r\n"
    head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    client.send(f"{head}Trailer: X-Sum\r\n\r\n")
    peer = endpoint.accept()
    assert peer.read_head().one("Trailer") == "X-Sum"
    for piece in (body[:cut], body[cut:]):
        client.send(piece)
    told = b""
    while not told.endswith(b"\r\n\r\n"):
        told += peer.read_exactly(1)
    assert told.endswith(b"\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n")
    peer.send("HTTP/1.1 204 No Content\r\n\r\n")
    assert client.read_response().status == 204
    client.send(f"{head}\r\n".encode() + body)
    assert peer.read_head().one("Trailer") is None
    ending = b"5\r\nhello\r\n0\r\n\r\n"
    assert peer.read_exactly(len(ending)) == ending


def test_of_requests_of_http1_to_http2(web, playing) -> None:
    """They are what they would have been from a client of HTTP/2."""
    client = web(playing, pool=H2).connect()
    head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    client.send(f"{head}5\r\nhello\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n")
    endpoint = playing.accept()
    asked = endpoint.request()
    assert (asked.body, asked.trailers, asked.head["trailer"]) == (b"hello", [("x-sum", "1")], "X-Sum")
    endpoint.answer(asked.stream)
    assert client.read_response().status == 200


def test_announced_ones_are_sent_again(web, endpoint) -> None:
    """A request that is sent once more is all that was sent before."""
    serving = web(endpoint, pool="retry = { attempts = 2 }")
    client = serving.connect()
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
    client.send("2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")
    ending = b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n"
    for is_last in (False, True):
        peer = endpoint.accept()
        peer.read_head()
        assert peer.read_exactly(len(ending)) == ending
        if is_last:
            peer.send("HTTP/1.1 204 No Content\r\n\r\n")
        else:
            peer.reset()
    assert client.read_response().status == 204


def test_what_barred_trailers_of_http2_become(web, playing) -> None:
    """Between two sides of HTTP/2 they are left out alike."""
    serving = web(playing, pool=H2, routes=ROUTES)
    with Http2Client(socket.create_connection(serving.port.address, 10)) as client:
        stream = client.begin("/", method="POST", ends=False)
        client.send(stream, b"body", ends=False)
        client.h2.send_headers(stream, [("x-sum", "1"), *((name, "2") for name in BARRED)], end_stream=True)
        client.flush()
        endpoint = playing.accept()
        asked = endpoint.request()
        assert asked.trailers == [("x-sum", "1")]
        endpoint.answer(asked.stream, b"ok", trailers=[(name, "2") for name in BARRED])
        answer = client.wait(stream)
        assert (answer.text, answer.trailers) == ("ok", None)


def test_grpc_over_http3(h3) -> None:
    """Calls of one message and of many, trailers alone, and a call whose endpoint dies."""
    with GrpcServer("a") as server:
        client, serving = h3(server, pool=H2)
        assert _call(client, "Unary", b"hello") == ([b"a:hello"], "0")
        assert _call(client, "Down", b"3") == ([b"a", b"0" * 1000, b"1" * 1000, b"2" * 1000], "0")
        assert _call(client, "Both", b"1", b"2") == ([b"a:1", b"a:2"], "0")
        assert _call(client, "Unary", b"abort 5") == ([], "5")
        assert _call(client, "Missing", b"") == ([], "12")
        line = serving.balancer.access(target="/test.Echo/Both")
        assert (line["protocol"], line["status"], line["grpc_status"]) == ("HTTP/3.0", 200, 0)
        stream = client.begin("/test.Echo/Down", *GRPC, method="POST", is_end=False)
        client.data(stream, message(b"-"))
        answer = client.answers[stream]
        client.until(lambda: answer.body)
        server.kill()
        client.answer(stream)
        assert dict(answer.heads[-1]) == {"grpc-status": "14", "grpc-message": "upstream-truncated"}


def _call(client: Http3Client, method: str, *messages: bytes) -> tuple[list[bytes], str]:
    """The answer's messages, and the status that ends it."""
    stream = client.begin(f"/test.Echo/{method}", *GRPC, method="POST", is_end=False)
    client.data(stream, b"".join(message(each) for each in messages))
    answer = client.answer(stream)
    assert answer.is_ended, answer
    heard, rest = [], bytes(answer.body)
    while rest:
        length = int.from_bytes(rest[1:5], "big")
        heard.append(rest[5 : 5 + length])
        rest = rest[5 + length :]
    return heard, dict(answer.heads[-1])["grpc-status"]
