"""One side of a connection: sends exact bytes, reads messages, and waits for nothing without a deadline.

The reader is deliberately plain: it shares no code with the product, so that both cannot be wrong in the same way.
"""

import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

# What a step of a dialogue may take on a busy machine; a test that reaches it has failed.
DEADLINE = 10.0
PIECE = 256 * 1024


class EndedError(AssertionError):
    """The peer closed before what was waited for had come."""


@dataclass(frozen=True)
class Head:
    """A request or response head: its first line and its fields, in order."""

    first: str
    fields: list[tuple[str, str]]
    raw: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Reads a head that ends with an empty line."""
        first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        fields = [(name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines)]
        return cls(first, fields, raw)

    def all(self, name: str) -> list[str]:
        """The values of every field with this name, without regard to case."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def one(self, name: str) -> str | None:
        """The value of the one field with this name; `None` if there is none."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} occurs {len(values)} times in {self.raw!r}"
        return values[0] if values else None

    @property
    def status(self) -> int:
        """Of a response."""
        return int(self.first.split(" ")[1])

    @property
    def target(self) -> str:
        """Of a request."""
        return self.first.split(" ")[1]


@dataclass(frozen=True)
class Message(Head):
    """A head with its body, chunks taken out."""

    body: bytes = b""

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


class Peer:
    """A connection as one of its ends sees it."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(DEADLINE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = sock
        self.pending = b""

    @classmethod
    def connect(cls, address: tuple[str, int], *, receive_buffer: int | None = None, source: str | None = None) -> Self:
        """Connects; a small `receive_buffer` makes a slow reader of this end at once."""
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source is not None:
            sock.bind((source, 0))
        sock.settimeout(DEADLINE)
        try:
            sock.connect(address)
        except ConnectionResetError:
            # Accepted, and reset before this call returned: the same to a test as a reset that comes later.
            sock.close()
            with socket.create_server(("127.0.0.1", 0)) as server:
                sock = socket.create_connection(server.getsockname())
                server.accept()[0].close()
        return cls(sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, *pieces: bytes | str) -> None:
        """Sends it all."""
        self.socket.sendall(b"".join(piece.encode("latin-1") if isinstance(piece, str) else piece for piece in pieces))

    def half_close(self) -> None:
        """Says that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Closes both directions."""
        self.socket.close()

    def reset(self) -> None:
        """Closes with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def receive(self) -> bytes:
        """Whatever comes next; empty at the end."""
        if self.pending:
            data, self.pending = self.pending, b""
            return data
        return self.socket.recv(PIECE)

    def read_until(self, mark: bytes) -> bytes:
        """Everything up to and with `mark`. Raises `EndedError` at the end."""
        data = bytearray()
        while True:
            piece = self.receive()
            start = max(0, len(data) - len(mark) + 1)
            data += piece
            at = data.find(mark, start)
            if at >= 0:
                self.pending = bytes(data[at + len(mark) :]) + self.pending
                return bytes(data[: at + len(mark)])
            if not piece:
                raise EndedError(f"closed after {bytes(data[:2000])!r}")

    def read_exactly(self, count: int) -> bytes:
        """That many bytes. Raises `EndedError` if the end comes first."""
        data = bytearray()
        while len(data) < count:
            piece = self.receive()
            if not piece:
                raise EndedError(f"closed after {len(data)} of {count} bytes: {bytes(data[:2000])!r}")
            self.pending = piece[count - len(data) :]
            data += piece[: count - len(data)]
        return bytes(data)

    def read_to_end(self) -> bytes:
        """Everything until the peer closes its side. A reset raises `ConnectionResetError`."""
        data = bytearray()
        while piece := self.receive():
            data += piece
        return bytes(data)

    def drain(self) -> int:
        """How many bytes came until the end, whether it was a close or a reset."""
        count = 0
        try:
            while piece := self.receive():
                count += len(piece)
        except ConnectionResetError:
            pass
        return count

    def read_head(self) -> Head:
        """A request or response head."""
        return Head.parse(self.read_until(b"\r\n\r\n"))

    def read_chunks(self) -> Iterator[bytes]:
        """The chunks of a body, and past its trailers."""
        while size := int(self.read_until(b"\r\n").split(b";")[0], 16):
            yield self.read_exactly(size)
            assert self.read_exactly(2) == b"\r\n"
        while self.read_until(b"\r\n") != b"\r\n":
            pass

    def read_body(self, head: Head) -> bytes:
        """The body that `head` announces; none without a length."""
        if (head.one("Transfer-Encoding") or "").lower() == "chunked":
            return b"".join(self.read_chunks())
        return self.read_exactly(int(head.one("Content-Length") or 0))

    def read_request(self) -> Message:
        """A whole request."""
        head = self.read_head()
        return Message(head.first, head.fields, head.raw, self.read_body(head))

    def read_response(self, method: str = "GET") -> Message:
        """The next response, which may be an interim one."""
        head = self.read_head()
        if method == "HEAD" or head.status < 200 or head.status in {204, 304}:
            body = b""
        elif head.one("Content-Length") is None and head.one("Transfer-Encoding") is None:
            body = self.read_to_end()
        else:
            body = self.read_body(head)
        return Message(head.first, head.fields, head.raw, body)

    def ask(self, path: str = "/", *fields: str, method: str = "GET", host: str = "test", body: bytes = b"") -> Message:
        """Sends a request and reads its response."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines), "\r\n\r\n", body)
        return self.read_response(method)

    def expect_end(self) -> None:
        """The peer closes now and sends nothing more."""
        rest = self.read_to_end()
        assert rest == b"", f"expected the end, got {rest[:2000]!r}"

    def expect_cut(self) -> bytes:
        """The peer ends the connection now, by FIN or RST; what it sent before."""
        data = bytearray()
        try:
            while piece := self.receive():
                data += piece
        except ConnectionResetError:
            pass
        return bytes(data)

    def expect_silence(self, seconds: float) -> None:
        """Nothing comes for as long as `seconds`, and the connection stays open.

        Only for promises about what must not happen; everything else waits for what must.
        """
        began = time.monotonic()
        self.socket.settimeout(seconds)
        try:
            piece = self.receive()
        except TimeoutError:
            return
        finally:
            self.socket.settimeout(DEADLINE)
        raise AssertionError(f"expected silence, got {piece[:200]!r} after {time.monotonic() - began:.3f} s")
