"""Responses are compressed for clients that accept it, never twice, and arrive as they were, as soon as they were.

The decoders are other people's: zlib, and the brotli and zstandard packages.
"""

import contextlib
import os
import subprocess
import threading
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
import zstandard

from ..support.server import pattern
from ..support.wire import DEADLINE, Message, Peer

TEXT = b"the quick brown fox jumps over the lazy dog; " * 400


def gunzip(data: bytes) -> bytes:
    """One gzip member and nothing behind it."""
    decoder = zlib.decompressobj(wbits=31)
    plain = decoder.decompress(data)
    assert decoder.eof
    assert not decoder.unused_data
    return plain


def unzstd(data: bytes) -> bytes:
    """One frame and nothing behind it."""
    decoder = zstandard.ZstdDecompressor().decompressobj()
    plain = decoder.decompress(data)
    assert decoder.eof
    assert not decoder.unused_data
    return plain


DECODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gunzip, "br": brotli.decompress, "zstd": unzstd}


class Partial:
    """What a client can read so far of a body that is still coming."""

    def __init__(self, coding: str) -> None:
        decoder: Any = {
            "gzip": lambda: zlib.decompressobj(wbits=31).decompress,
            "br": lambda: brotli.Decompressor().process,
            "zstd": lambda: zstandard.ZstdDecompressor().decompressobj().decompress,
        }[coding]()
        self._decode = decoder
        self.text = b""

    def feed(self, data: bytes) -> bytes:
        """All of the text with this piece."""
        self.text += self._decode(data)
        return self.text


def answer(body: bytes, *fields: str, status: str = "200 OK", length: bool = True) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: text/plain", *fields]
    lines += [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def ask(serving, endpoint, response: bytes, accept: str = "gzip", method: str = "GET") -> Message:
    client = serving.connect()
    client.send(f"{method} / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accept}\r\n\r\n")
    peer, _ = endpoint.serve(response)
    if b"Content-Length" not in response and b"Transfer-Encoding" not in response:
        peer.close()
    received = client.read_response(method)
    peer.close()
    return received


@pytest.fixture
def compressing(web, endpoint):
    return web(endpoint, top='access_log = "-"', listener="compression = {}", pool="keepalive = { max_idle = 0 }")


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_body_of_any_framing(compressing, endpoint, coding, framing) -> None:
    """It comes in chunks, without a length, and is what the endpoint sent; log and metrics say how much it saved."""
    response = {
        "length": answer(TEXT),
        "chunked": answer(b"%x\r\n%s\r\n0\r\n\r\n" % (len(TEXT), TEXT), "Transfer-Encoding: chunked", length=False),
        "close": answer(TEXT, length=False),
    }[framing]
    received = ask(compressing, endpoint, response, f"identity;q=0.1, {coding}")
    assert received.one("Content-Encoding") == coding
    assert received.one("Vary") == "Accept-Encoding"
    assert received.one("Content-Length") is None
    assert DECODERS[coding](received.body) == TEXT
    entry = compressing.balancer.access(status=200)
    assert (entry["coding"], entry["bytes_before_coding"]) == (coding, len(TEXT))

    def metric(name: str, **labels: str) -> float:
        return compressing.balancer.metric(name, coding=coding, **labels)

    assert metric("evenly_compressed_responses_total") == 1
    assert metric("evenly_compression_bytes_total", direction="in") == len(TEXT)
    assert metric("evenly_compression_bytes_total", direction="out") == len(received.body)


@pytest.mark.parametrize(
    ("response", "accept"),
    [
        (answer(TEXT, "Content-Encoding: gzip"), "gzip"),
        (answer(TEXT, "Cache-Control: public, no-transform"), "gzip"),
        (answer(TEXT, "Content-Range: bytes 0-17999/20000", status="206 Partial Content"), "gzip"),
        (answer(TEXT[:500]), "gzip"),
        (answer(TEXT).replace(b"text/plain", b"image/png"), "gzip"),
        (answer(TEXT, "Content-Digest: sha-256=:x:"), "gzip"),
        (answer(TEXT), "identity"),
        (answer(TEXT), "gzip;q=0, *;q=0"),
        (answer(TEXT), "deflate"),
        (answer(TEXT), "gzip\r\nCache-Control: no-cache, no-transform"),
    ],
    ids=["encoded", "no-transform", "partial", "small", "type", "digest", "identity", "refused", "unknown", "asked"],
)
def test_left_as_it_is(compressing, endpoint, response, accept) -> None:
    """What must not, need not or cannot be compressed has its own length and bytes."""
    received = ask(compressing, endpoint, response, accept)
    assert received.body == response.partition(b"\r\n\r\n")[2]
    assert received.one("Content-Encoding") in {None, "gzip" if b"Content-Encoding" in response else None}
    assert received.one("Content-Length") == str(len(received.body))


def test_no_body_no_coding(compressing, endpoint) -> None:
    """204 and 304 keep their heads."""
    for status in ("204 No Content", "304 Not Modified"):
        received = ask(compressing, endpoint, answer(b"", status=status, length=False))
        assert (received.one("Content-Encoding"), received.body) == (None, b"")


def test_head_says_what_get_would_get(compressing, endpoint) -> None:
    """Its length would be that of another body; a body that GET would get as it is keeps its own."""

    def head(length: int, accept: str) -> Message:
        response = answer(b"", 'ETag: "v1"').replace(b"Content-Length: 0", b"Content-Length: %d" % length)
        return ask(compressing, endpoint, response, accept, method="HEAD")

    received = head(5000, "gzip")
    assert (received.one("Content-Length"), received.one("Content-Encoding")) == (None, "gzip")
    assert (received.one("ETag"), received.one("Vary")) == ('W/"v1"', "Accept-Encoding")
    assert received.one("Transfer-Encoding") is None
    plain = head(5000, "identity")
    assert (plain.one("Content-Length"), plain.one("Vary")) == ("5000", "Accept-Encoding")
    small = head(500, "gzip")
    assert (small.one("Content-Length"), small.one("Vary"), small.one("Content-Encoding")) == ("500", None, None)


def test_the_head_says_what_became_of_the_body(compressing, endpoint) -> None:
    """A strong validator is weak now, ranges are not to be had, and an own Vary stays."""
    fields = ('ETag: "v1"', "Vary: Origin", "Accept-Ranges: bytes", "X-Own: 1")
    received = ask(compressing, endpoint, answer(TEXT, *fields))
    assert received.all("Vary") == ["Origin", "Accept-Encoding"]
    assert (received.one("ETag"), received.one("Accept-Ranges"), received.one("X-Own")) == ('W/"v1"', None, "1")
    plain = ask(compressing, endpoint, answer(TEXT, *fields), "identity")
    assert (plain.one("ETag"), plain.one("Accept-Ranges")) == ('"v1"', "bytes")
    assert plain.all("Vary") == ["Origin", "Accept-Encoding"]


def test_a_route_has_the_last_word_on_the_validator(web, endpoint) -> None:
    """What it removes does not come back because the body was compressed."""
    routes = '[[routes]]\npool = "app"\nresponse_headers = { remove = "ETag" }\n'
    serving = web(endpoint, listener="compression = {}", pool="keepalive = { max_idle = 0 }", routes=routes)
    received = ask(serving, endpoint, answer(TEXT, 'ETag: "v1"'))
    assert (received.one("Content-Encoding"), received.one("ETag")) == ("gzip", None)


def test_what_is_still_good_is_named_as_it_was(compressing, endpoint) -> None:
    """A 304 has the weak validator of the compressed response that its client has (RFC 9110, section 15.4.5)."""
    response = b'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\n\r\n'

    def revalidate(tags: str, accept: str = "gzip") -> tuple[list[str], list[str]]:
        client = compressing.connect()
        client.send(f"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accept}\r\nIf-None-Match: {tags}\r\n\r\n")
        endpoint.serve(response)
        received = client.read_response()
        assert received.status == 304
        return received.all("ETag"), received.all("Vary")

    weak, strong = (['W/"v1"'], ["Accept-Encoding"]), (['"v1"'], [])
    assert revalidate('W/"v1"') == weak
    assert revalidate('"v0", W/"v1"') == weak
    assert revalidate('"v1"') == strong
    assert revalidate('W/"v1"', "identity") == strong


def test_the_connection_goes_on(compressing, endpoint) -> None:
    """Several compressed responses on one connection."""
    client = compressing.connect()
    for number in range(3):
        client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
        peer, _ = endpoint.serve(answer(TEXT + b"%d" % number))
        assert gunzip(client.read_response().body) == TEXT + b"%d" % number
        peer.close()


def test_an_old_client_gets_its_body_until_the_end(compressing, endpoint) -> None:
    """HTTP/1.0 knows no chunks: the end of the connection is the end of the body."""
    client = compressing.connect()
    client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nAccept-Encoding: gzip\r\n\r\n")
    endpoint.serve(answer(TEXT))
    received = client.read_response()
    assert (received.one("Transfer-Encoding"), received.one("Content-Encoding")) == (None, "gzip")
    assert gunzip(received.body) == TEXT


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_events_are_not_held_up(compressing, endpoint, coding) -> None:
    """Each event of a stream can be read before the next is sent."""
    client = compressing.connect()
    client.send(f"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n")
    peer = endpoint.accept()
    peer.read_request()
    peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    head = client.read_head()
    assert head.one("Content-Encoding") == coding
    chunks, partial = client.read_chunks(), Partial(coding)
    for number in range(5):
        event = b"data: event %d\n\n" % number
        peer.send(b"%x\r\n%s\r\n" % (len(event), event))
        while not partial.text.endswith(event):
            partial.feed(next(chunks))
    peer.send("0\r\n\r\n")
    rest = b"".join(chunks)
    assert partial.feed(rest).count(b"data:") == 5


def test_a_long_pause_in_a_body_of_known_length(compressing, endpoint) -> None:
    """What is there is sent before the rest has come."""
    client = compressing.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: zstd\r\n\r\n")
    peer = endpoint.accept()
    peer.read_request()
    peer.send(answer(TEXT)[: -len(TEXT) // 2])
    client.read_head()
    chunks, partial = client.read_chunks(), Partial("zstd")
    while len(partial.text) < len(TEXT) // 2 - 1:
        partial.feed(next(chunks))
    peer.send(TEXT[len(partial.text) :])
    assert partial.feed(b"".join(chunks)) == TEXT


def test_a_truncated_body_never_looks_whole(compressing, endpoint) -> None:
    """The endpoint breaks off: so does the response, without its end."""
    client = compressing.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
    peer, _ = endpoint.serve(answer(TEXT)[:-100])
    peer.close()
    client.read_head()
    assert not client.expect_cut().endswith(b"0\r\n\r\n")
    assert compressing.balancer.access(status=200)["reason"] == "upstream-truncated"


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_large_body(web, servers, coding) -> None:
    """16 MiB, byte by byte as they were."""
    routes = '[[routes]]\npool = "app"\ncompression = { types = ["application/*"] }\n'
    client = web(servers("a")[0], routes=routes).connect()
    client.send(f"GET /bytes/{16 << 20} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n")
    received = client.read_response()
    assert received.one("Content-Encoding") == coding
    assert DECODERS[coding](received.body) == pattern(0, 16 << 20)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_slow_reader_sets_the_pace(compressing, endpoint, coding) -> None:
    """What cannot be compressed does not pile up in memory while its reader rests."""
    noise = os.urandom(32 << 20)
    client = compressing.connect(receive_buffer=4096)
    client.send(f"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n")
    peer = endpoint.accept()
    peer.read_request()
    before = compressing.balancer.memory()

    def send() -> None:
        # Cut in the middle when the client has seen enough.
        with contextlib.suppress(OSError):
            peer.send(answer(noise))

    sending = threading.Thread(target=send)
    sending.start()
    sending.join(0.5)
    assert sending.is_alive(), "nobody read, and all of it is gone somewhere"
    assert compressing.balancer.memory() - before < 24 << 20
    client.close()
    sending.join(DEADLINE)


def test_curl_understands_it(compressing, servers, run, port) -> None:
    """An everyday client, with all of its codings."""
    bound = port()
    server = servers("a")[0]
    run(
        f'workers = 1\n[listeners.web]\nbind = "{bound}"\n'
        'compression = { min_size = "0B", types = ["text/*", "application/*"] }\n'
        f'[pools.app]\nendpoints = ["{server}"]\n'
    )
    command = ["curl", "-sS", "--compressed", f"http://{bound}/bytes/100000"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=20)
    with Peer.connect(bound.address) as client:
        assert done.stdout == client.ask("/bytes/100000").body


def test_a_route_may_do_otherwise(web, endpoint) -> None:
    """A route's own table replaces the listener's."""
    routes = '[[routes]]\npool = "app"\ncompression = { algorithms = ["br"], min_size = "10B" }\n'
    serving = web(
        endpoint, listener='compression = { algorithms = ["gzip"] }', routes=routes, pool="keepalive = { max_idle = 0 }"
    )
    received = ask(serving, endpoint, answer(TEXT[:100]), "gzip, br")
    assert received.one("Content-Encoding") == "br"
    assert brotli.decompress(received.body) == TEXT[:100]
