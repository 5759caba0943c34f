"""Clients that break the rules of HTTP/3: each gets the code that the RFC has for it, and keeps nobody else waiting."""

import os
import socket

import pytest

from ..support.balancer import run_verb
from ..support.http3 import (
    CANCEL_PUSH,
    DATA,
    GOAWAY,
    HEADERS,
    MAX_PUSH_ID,
    PUSH_PROMISE,
    SETTINGS,
    encode_frame,
    varints,
)

CONTROL, PUSH, ENCODER, DECODER = 0, 1, 2, 3
GREETING = varints([CONTROL]) + encode_frame(SETTINGS, b"")
# :method GET, :scheme https, :authority a, :path / as QPACK has them.
GET = b"\0\0\xd1\xd7\x50\x01a\xc1"


def code_of(client, sent: dict[int, bytes], ends: int | None = None) -> int:
    """What a connection is ended with on which this is sent, by stream."""
    for stream, data in sent.items():
        client.raw(stream, data, is_end=stream == ends)
    return client.end()


@pytest.mark.parametrize(
    ("sent", "word"),
    [
        ({2: varints([CONTROL]) + encode_frame(GOAWAY, b"\0")}, "missing_settings"),
        ({2: GREETING + encode_frame(SETTINGS, b"")}, "frame_unexpected"),
        ({2: GREETING + encode_frame(DATA, b"x")}, "frame_unexpected"),
        ({2: GREETING + encode_frame(0x06, b"x")}, "frame_unexpected"),
        ({2: GREETING + encode_frame(CANCEL_PUSH, b"\0")}, "id_error"),
        ({2: GREETING + encode_frame(MAX_PUSH_ID, b"\5") + encode_frame(MAX_PUSH_ID, b"\4")}, "id_error"),
        ({2: varints([CONTROL]) + encode_frame(SETTINGS, b"\x02\x01")}, "settings_error"),
        ({2: varints([CONTROL]) + encode_frame(SETTINGS, b"\x06\x01\x06\x01")}, "settings_error"),
        ({2: GREETING, 6: GREETING}, "stream_creation_error"),
        ({2: varints([PUSH])}, "stream_creation_error"),
        ({2: varints([ENCODER]) + b"\x3f\xe1\x1f"}, "qpack_encoder_stream_error"),
        ({2: varints([DECODER]) + b"\x80"}, "qpack_decoder_stream_error"),
        ({2: GREETING, 0: encode_frame(DATA, b"x")}, "frame_unexpected"),
        ({2: GREETING, 0: encode_frame(PUSH_PROMISE, b"x")}, "frame_unexpected"),
        ({2: GREETING, 0: encode_frame(SETTINGS, b"")}, "frame_unexpected"),
        ({2: GREETING, 0: encode_frame(HEADERS, b"\x02\0\x80")}, "qpack_decompression_failed"),
        ({2: GREETING + encode_frame(0x21, b"") * 300}, "excessive_load"),
        ({2: GREETING, 0: encode_frame(HEADERS, GET) + encode_frame(DATA, b"") * 300}, "excessive_load"),
    ],
)
def test_a_connection_is_ended_with_the_code_of_the_rfc(h3, endpoint, sent, word) -> None:
    """And counted by it; another client is served all the while."""
    good, serving = h3(
        endpoint, routes='[[routes]]\npath = "/own"\nrespond = { status = 200, body = "x" }\n[[routes]]\npool = "app"\n'
    )
    bad = serving.h3(is_raw=True)
    code_of(bad, sent)
    assert serving.balancer.metric("evenly_http3_errors_total", scope="connection", code=word) == 1
    assert serving.balancer.status()["listeners"][0]["http3"]["ended_connections"] == {word: 1}
    is_abuse = word == "excessive_load"
    assert serving.balancer.access(reason="http3-abuse" if is_abuse else "http3-bad")["protocol"] == "HTTP/3.0"
    assert good.get("/own").status == 200


def test_the_codes_are_those_of_the_rfc(h3, servers) -> None:
    """As numbers, once."""
    _, serving = h3(*servers("a"))
    assert code_of(serving.h3(is_raw=True), {2: varints([CONTROL]) + encode_frame(GOAWAY, b"\0")}) == 0x10A
    assert code_of(serving.h3(is_raw=True), {2: GREETING}, ends=2) == 0x104
    assert code_of(serving.h3(is_raw=True), {2: GREETING, 0: b"\1\5\0"}, ends=0) == 0x106


@pytest.mark.parametrize(
    "field",
    [
        b"\x23X-A\x01b",
        b"\x27\x03connection\x05close",
        b"\x27\x0atransfer-encoding\x07chunked",
        b"\x22te\x04gzip",
        b"\x23x-a\x05b\r\nc:",
        b"\x23x-a\x02b\0",
        b"\x23x a\x01b",
        b"\x24host\x01b",
        b"\xc1",
        b"\x54\x01+",
    ],
)
def test_what_could_be_read_in_two_ways_goes_nowhere(h3, endpoint, field) -> None:
    """Each way to smuggle by a downgrade ends its stream, is counted, and leaves the connection alone."""
    good, serving = h3(endpoint)
    bad = serving.h3(is_raw=True)
    bad.raw(2, GREETING)
    bad.raw(0, encode_frame(HEADERS, GET + field), is_end=True)
    assert bad.answer(0).reset == 0x10E
    assert not bad.closed
    assert serving.balancer.metric("evenly_http3_errors_total", scope="stream", code="message_error") == 1
    shown = run_verb("status", "--admin", str(serving.balancer.admin_path)).stdout
    assert "  web: 1 HTTP/3 streams ended for faults: 1 message_error\n" in shown
    stream = good.begin("/")
    _, request = endpoint.serve()
    assert request.first == "GET / HTTP/1.1"
    assert good.answer(stream).status == 200
    assert not endpoint.is_asked()


def test_a_body_that_is_not_as_long_as_it_says(h3, endpoint) -> None:
    """The endpoint never sees the end of it."""
    _, serving = h3(endpoint)
    for body in (b"too long", b"shrt"):
        bad = serving.h3(is_raw=True)
        bad.raw(2, GREETING)
        bad.raw(0, encode_frame(HEADERS, GET + b"\x54\x015") + encode_frame(DATA, body), is_end=True)
        assert bad.answer(0).reset == 0x10E


def test_heads_that_are_too_large(h3, servers) -> None:
    """431, in the client's own words, whether it is large or far too large; the rest is not read."""
    client, serving = h3(*servers("a"), listener='limits = { head = "1KiB", target = "512B" }')
    for length in (2000, 20_000):
        assert client.get("/", ("x-long", "a" * length)).status == 431
    assert client.get("/", *[("x", "")] * 90).status == 431
    assert serving.balancer.access(status=431)["reason"] == "head-too-large"
    assert client.get("/").status == 200


def test_requests_that_are_begun_to_be_reset(h3, servers) -> None:
    """Again and again: that is nothing but load."""
    good, serving = h3(*servers("a"))
    bad = serving.h3()

    def reset_one() -> bool:
        if not bad.closed:
            stream = bad.begin("/hold")
            bad.quic.reset_stream(stream, 0x10C)
            bad.quic.stop_stream(stream, 0x10C)
        return bool(bad.closed)

    bad.until(reset_one, 30)
    assert bad.closed[0] == 0x107
    assert serving.balancer.metric("evenly_http3_errors_total", scope="connection", code="excessive_load") == 1
    assert good.get("/").status == 200


def test_a_head_that_does_not_come_to_an_end(h3, servers) -> None:
    """Its stream is ended in time, others are not concerned."""
    good, serving = h3(*servers("a"), listener='timeouts = { header = "200ms" }')
    slow = serving.h3(is_raw=True)
    slow.raw(2, GREETING)
    slow.raw(0, b"\x01\x20\0\0")
    assert slow.answer(0).reset == 0x10D
    assert not slow.closed
    assert serving.balancer.metric("evenly_slow_clients_total", listener="web") == 1
    assert good.get("/").status == 200


def test_packets_that_are_none(h3, servers) -> None:
    """Noise of every length, and unknown versions: nothing is harmed, and nothing larger comes back."""
    good, serving = h3(*servers("a"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
        noise.connect(serving.port.address)
        for length in range(0, 1400, 7):
            noise.send(os.urandom(length))
        noise.send(b"\xc0\x1a\x2a\x3a\x4a\x08" + bytes(8) + b"\x08" + bytes(8) + bytes(1200))
        noise.settimeout(10)
        noise.send(b"")
        answers = [noise.recv(2000)]
        while answers[-1][:1] < b"\x80" or answers[-1][1:5] != bytes(4):
            answers.append(noise.recv(2000))
        assert b"\0\0\0\1" in answers[-1][5:], "a version that is spoken here"
        assert all(len(answer) < 1400 for answer in answers)
    assert good.get("/").status == 200
