"""What goes over the wire when one process takes over from another, on a pair of connected Unix sockets.

    old → new   inheritance: health, listening sockets (as descriptors), the admin socket
    new → old   {"serving": true}            or {"failed": "why"}, or nothing but the end of the stream
    old → new   {"take": true}               from here on the new process is the one that serves

Messages are JSON behind a four-byte length. Descriptors follow the inheritance in batches of one byte each.
Until "take" the old process can go on as if nothing had happened: both accept from the same sockets, and the admin
socket has not been touched.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import structlog

from evenly import __version__
from evenly.control.store import UNREADABLE, Kept

DESCRIPTORS_A_BATCH = 250
"""The kernel refuses more than 253 descriptors in one message (SCM_MAX_FD)."""

MESSAGE_LIMIT = 64 << 20
"""Health of a million endpoints fits; a length beyond it means that the streams lost step."""

_LENGTH = struct.Struct("!I")

log = structlog.get_logger("evenly")


@dataclass(frozen=True)
class Inheritance:
    """What a process leaves to its successor. Whoever holds it owns the descriptors."""

    sockets: list[tuple[str, list[int]]] = field(default_factory=list)
    """Listening descriptors by the address they are bound to ("0.0.0.0:8080")."""
    health: str = ""
    """What `Dataplane.health` returned."""
    admin: tuple[str, int] | None = None
    """The admin API's address, as its server names it, and its listening descriptor."""
    kept: Kept | None = None
    """What was set at run time and what discovery has found; `None` if there is no predecessor that could know."""

    def only(self, addresses: Collection[str]) -> list[tuple[str, list[int]]]:
        """Listening descriptors for these addresses; the others are closed, for nobody would accept from them."""
        for address, group in self.sockets:
            if address not in addresses:
                log.info("inherited socket closed", address=address, reason="no listener is bound to it")
                for descriptor in group:
                    os.close(descriptor)
        return [(address, group) for address, group in self.sockets if address in addresses]

    def close(self) -> None:
        """Closes every descriptor; for the side that has sent them, or cannot use them."""
        for descriptor in self._descriptors():
            os.close(descriptor)

    def _descriptors(self) -> list[int]:
        listening = [descriptor for _, group in self.sockets for descriptor in group]
        return listening if self.admin is None else [*listening, self.admin[1]]


def send_message(channel: socket.socket, message: dict[str, Any]) -> None:
    """Sends one message. Raises `OSError` when the other side is gone or does not read in time."""
    body = json.dumps(message).encode()
    channel.sendall(_LENGTH.pack(len(body)) + body)


def receive_message(channel: socket.socket) -> dict[str, Any]:
    """Receives one message. Raises `EOFError` when the other side ended, `TimeoutError` when it is late."""
    (length,) = _LENGTH.unpack(_receive_exactly(channel, _LENGTH.size))
    if length > MESSAGE_LIMIT:
        raise ValueError(f"a message of {length:,} bytes")
    message: dict[str, Any] = json.loads(_receive_exactly(channel, length))
    return message


def send_inheritance(channel: socket.socket, inheritance: Inheritance) -> None:
    """Sends descriptors (the receiver gets its own) and health."""
    send_message(
        channel,
        {
            "version": __version__,
            "health": inheritance.health,
            "sockets": [[address, len(group)] for address, group in inheritance.sockets],
            "admin": None if inheritance.admin is None else inheritance.admin[0],
            "kept": None if inheritance.kept is None else inheritance.kept.to_json(),
        },
    )
    descriptors = inheritance._descriptors()
    for start in range(0, len(descriptors), DESCRIPTORS_A_BATCH):
        socket.send_fds(channel, [b"\0"], descriptors[start : start + DESCRIPTORS_A_BATCH])


def receive_inheritance(channel: socket.socket) -> Inheritance:
    """Receives what `send_inheritance` sent; the descriptors are not inherited by children of this process."""
    message = receive_message(channel)
    counts = [(str(address), int(count)) for address, count in message["sockets"]]
    expected = sum(count for _, count in counts) + (message["admin"] is not None)
    descriptors: list[int] = []
    while len(descriptors) < expected:
        data, batch, _, _ = socket.recv_fds(channel, 1, DESCRIPTORS_A_BATCH)
        if not data:
            raise EOFError("the other process ended while it sent its sockets")
        descriptors += batch
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    remaining = iter(descriptors)
    sockets = [(address, [next(remaining) for _ in range(count)]) for address, count in counts]
    admin = None if message["admin"] is None else (str(message["admin"]), next(remaining))
    return Inheritance(sockets, str(message["health"]), admin, _kept(message))


def _kept(message: dict[str, Any]) -> Kept | None:
    """What the predecessor kept. One of another version may send none, or another form of it; `state_dir` remains."""
    kept = message.get("kept")
    try:
        return None if kept is None else Kept.from_json(kept)
    except UNREADABLE as error:
        log.error("state not used", problem=f"the process to take over from sent what cannot be read: {error!r}")  # noqa: TRY400
        return None


def _receive_exactly(channel: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        piece = channel.recv(count - len(received))
        if not piece:
            raise EOFError("the other process ended")
        received += piece
    return bytes(received)
