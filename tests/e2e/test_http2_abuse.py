"""Clients that attack by HTTP/2: each is cut off and counted, holds little memory, and keeps nobody else waiting."""

import socket
import struct

import pytest

from ..support.http2 import Http2Client

ENHANCE_YOUR_CALM = 11
HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, CONTINUATION, WINDOW_UPDATE, DATA = 1, 2, 3, 4, 6, 9, 8, 0
# :method GET, :scheme https, :path /, and an :authority, all as HPACK has them.
GET = b"\x82\x87\x84\x41\x04test"


def rapid_reset(client: Http2Client, turn: int) -> bytes:
    stream = 2 * turn + 1
    return client.frame(HEADERS, 5, stream, GET) + client.frame(RST_STREAM, 0, stream, struct.pack(">I", 8))


def made_you_reset(client: Http2Client, turn: int) -> bytes:
    stream = 2 * turn + 1
    return client.frame(HEADERS, 5, stream, GET) + client.frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 0))


def continuations(client: Http2Client, turn: int) -> bytes:
    return client.frame(HEADERS, 1, 1, GET) if turn == 0 else client.frame(CONTINUATION, 0, 1, b"")


def long_continuations(client: Http2Client, turn: int) -> bytes:
    field = b"\x00\x01a\x7f\x80\x01" + b"b" * 255
    return client.frame(HEADERS, 1, 1, GET) if turn == 0 else client.frame(CONTINUATION, 0, 1, field * 60)


def bomb(client: Http2Client, turn: int) -> bytes:
    entry = b"\x40\x01a\x7f\xd1\x1e" + b"b" * 4000
    return client.frame(HEADERS, 5, 2 * turn + 1, GET + (entry if turn == 0 else b"") + b"\xbe" * 12000)


def settings(client: Http2Client, turn: int) -> bytes:
    return client.frame(SETTINGS, 0, 0, b"\0\x03\0\0\0\x64")


def pings(client: Http2Client, turn: int) -> bytes:
    return client.frame(PING, 0, 0, b"12345678")


def priorities(client: Http2Client, turn: int) -> bytes:
    return client.frame(PRIORITY, 0, 1 + 2 * (turn % 50), b"\0\0\0\0\x01")


def empty_data(client: Http2Client, turn: int) -> bytes:
    return client.frame(HEADERS, 4, 1, b"\x83" + GET[1:]) if turn == 0 else client.frame(DATA, 0, 1)


def window_updates(client: Http2Client, turn: int) -> bytes:
    return client.frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1))


def unknown(client: Http2Client, turn: int) -> bytes:
    return client.frame(200, 0, 0, b"?")


@pytest.mark.parametrize(
    ("attack", "reasons"),
    [
        (rapid_reset, {"rapid_reset"}),
        (made_you_reset, {"made_you_reset"}),
        (continuations, {"continuation_flood", "empty_frames"}),
        (long_continuations, {"continuation_flood", "header_bomb", "head_too_large"}),
        (bomb, {"header_bomb", "head_too_large"}),
        (settings, {"settings_flood"}),
        (pings, {"ping_flood"}),
        (priorities, {"priority_flood"}),
        (empty_data, {"empty_frames"}),
        (window_updates, {"window_update_flood"}),
        (unknown, {"unknown_frames"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_attacker_is_cut_off(web, servers, attack, reasons) -> None:
    """After some thousands of frames at most. A good client beside it is served all the while."""
    serving = web(*servers("a"), top='access_log = "-"')
    with (
        Http2Client(socket.create_connection(serving.port.address, 10)) as good,
        Http2Client(socket.create_connection(serving.port.address, 10)) as bad,
    ):
        assert good.ask().text == "a"
        assert serving.balancer.metric("evenly_http2_connections_total") == 2
        before = serving.balancer.memory()
        sent = 0
        try:
            for turn in range(200_000):
                sent += bad.socket.send(attack(bad, turn))
                if turn % 500 == 0:
                    assert good.ask().text == "a"
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 16 << 20, f"still served after {sent} bytes"
        metric = serving.balancer.metric
        serving.balancer.until(
            lambda: (
                sum(metric("evenly_http2_errors_total", scope="connection", reason=reason) for reason in reasons) == 1
            )
        )
        assert good.ask().text == "a"
        assert serving.balancer.memory() - before < 4 << 20
        assert serving.balancer.access(status=None)["reason"] in ("http2-abuse", "http2-bad")
