"""Early data (0-RTT): openssl's client, and a relay that holds what it says after its first words."""

import socket
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from .authority import Authority
from .balancer import Lines
from .programs import program
from .wire import DEADLINE, PIECE

APPLICATION_DATA = 23


class OpenSsl:
    """`openssl s_client`, which resumes the session in `session` if that is there, and leaves the last one there."""

    def __init__(
        self,
        address: tuple[str, int],
        authority: Authority,
        session: Path,
        *,
        early: bytes | None = None,
        options: Sequence[str] = (),
    ) -> None:
        command = [program("openssl"), "s_client", "-connect", f"{address[0]}:{address[1]}", "-servername", "shop.test",
                   "-CAfile", str(authority.bundle), "-verify_return_error", "-ign_eof", *options]  # fmt: skip
        if early is not None:
            (said := session.with_suffix(".early")).write_bytes(early)
            command += ["-sess_in", str(session), "-early_data", str(said)]
        else:
            command += ["-sess_out", str(session)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert self.process.stdout is not None
        self.output = Lines(self.process.stdout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)
        assert self.process.stdin is not None
        self.process.stdin.close()

    def say(self, text: bytes) -> None:
        """Sends, after the handshake."""
        assert self.process.stdin is not None
        self.process.stdin.buffer.write(text)
        self.process.stdin.buffer.flush()

    def wait(self, words: str) -> str:
        """The first line of what it tells that has these words."""
        return self.output.wait(lambda line: words in line)


class Relay:
    """Between one client and a balancer: passes on the client's first words, up to and with a record of early data, and
    holds the others until it is told to let them go. What comes back is passed on from that record on, so that a client
    is sure to send it first."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.first = b""
        """The client's first words."""
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(DEADLINE)
        self.address: tuple[str, int] = self._server.getsockname()
        self._far = socket.create_connection(address, DEADLINE)
        self._near: socket.socket | None = None
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        for each in (self._far, self._near):
            if each is not None:
                _shut(each)
        self._server.close()
        self._thread.join(DEADLINE)

    def release(self) -> None:
        """Lets go of what is held."""
        self._released.set()

    def _relay(self) -> None:
        self._near, _ = self._server.accept()
        said = b""
        while (length := _length_with_early_data(said)) is None:
            said += (piece := self._near.recv(PIECE))
            if not piece:
                return
        self.first, rest = said[:length], said[length:]
        self._far.sendall(self.first)
        threading.Thread(target=_copy, args=(self._far, self._near), daemon=True).start()
        self._released.wait()
        try:
            self._far.sendall(rest)
        except OSError:
            return
        _copy(self._near, self._far)


def _length_with_early_data(records: bytes) -> int | None:
    """How many bytes there are up to the end of the first record of early data, if it is all there."""
    at = 0
    while len(records) >= at + 5:
        kind, end = records[at], at + 5 + int.from_bytes(records[at + 3 : at + 5])
        if kind == APPLICATION_DATA:
            return end if len(records) >= end else None
        at = end
    return None


def _copy(source: socket.socket, sink: socket.socket) -> None:
    source.settimeout(None)
    with suppress(OSError):
        while piece := source.recv(PIECE):
            sink.sendall(piece)
    _shut(sink)


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
