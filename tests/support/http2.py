"""A client of HTTP/2 whose frames the test decides on: the `h2` package keeps the state, the test may go behind it."""

import socket
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
from h2.connection import ConnectionState

from .wire import DEADLINE

Fields = list[tuple[str, str]]


@dataclass
class Answer:
    """What came on one stream so far."""

    heads: list[Fields] = field(default_factory=list)
    body: bytes = b""
    trailers: Fields | None = None
    is_ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        """Of the last head."""
        return int(dict(self.heads[-1])[":status"])

    @property
    def text(self) -> str:
        """The body."""
        return self.body.decode()

    def one(self, name: str) -> str | None:
        """The value of a field of the last head."""
        return dict(self.heads[-1]).get(name)


class Http2End:
    """One end of a connection. `takes=False` never opens the windows."""

    def __init__(self, sock: socket.socket, config: h2.config.H2Configuration, *, takes: bool = True) -> None:
        self.socket = sock
        self.socket.settimeout(DEADLINE)
        self.takes = takes
        self.h2 = h2.connection.H2Connection(config)
        self.goaway: h2.events.ConnectionTerminated | None = None
        self.is_closed = False

    def flush(self) -> None:
        """Sends what the state has to say."""
        self.socket.sendall(self.h2.data_to_send())

    def send(self, stream: int, body: bytes, *, ends: bool = True) -> None:
        """Sends of a body as fast as the windows allow."""
        while body:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room == 0:
                self.receive()
                continue
            piece, body = body[:room], body[room:]
            self.h2.send_data(stream, piece)
            self.flush()
        if ends:
            self.h2.end_stream(stream)
            self.flush()

    def receive(self) -> None:
        """Reads once, and takes note of what happened."""
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            self.is_closed = True
            return
        self._feed(data)
        try:
            self.flush()
        except (BrokenPipeError, ConnectionResetError):
            self.is_closed = True

    def _feed(self, data: bytes) -> None:
        """Takes note of what these bytes mean."""
        raise NotImplementedError


class Http2Client(Http2End):
    """A client's connection."""

    def __init__(self, sock: socket.socket, *, takes: bool = True, settings: dict[Any, int] | None = None) -> None:
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=True,
        )
        super().__init__(sock, config, takes=takes)
        self.answers: dict[int, Answer] = defaultdict(Answer)
        self._partial = b""
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(settings)
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def begin(
        self, path: str = "/", *fields: tuple[str, str], method: str = "GET", ends: bool = True, host: str = "shop.test"
    ) -> int:
        """Begins a request; its stream."""
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "https"), (":authority", host), (":path", path), *fields]
        self.h2.send_headers(stream, head, end_stream=ends)
        self.flush()
        return stream

    def frame(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
        """A frame of any kind, right or wrong."""
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    def ask(self, path: str = "/", *fields: tuple[str, str], method: str = "GET", body: bytes | None = None) -> Answer:
        """A request and its whole answer."""
        stream = self.begin(path, *fields, method=method, ends=body is None)
        if body is not None:
            self.send(stream, body)
        return self.wait(stream)

    def wait(self, *streams: int) -> Answer:
        """Reads until these streams have ended; the last one's answer."""
        for stream in streams:
            while not (self.answers[stream].is_ended or self.answers[stream].reset is not None):
                assert not self.is_closed, f"closed before stream {stream} ended: {self.goaway}"
                self.receive()
        return self.answers[streams[-1]]

    def wait_ended(self, *streams: int, count: int) -> None:
        """Reads until so many of these streams have ended."""
        while sum(self.answers[stream].is_ended for stream in streams) < count:
            assert not self.is_closed, f"closed before {count} streams ended: {self.goaway}"
            self.receive()

    def wait_head(self, stream: int) -> Answer:
        """Reads until this stream's head is there."""
        while not self.answers[stream].heads:
            assert not self.is_closed, f"closed before stream {stream} began: {self.goaway}"
            self.receive()
        return self.answers[stream]

    def wait_closed(self) -> "h2.events.ConnectionTerminated | None":
        """Reads until the connection is closed; its last GOAWAY."""
        while not self.is_closed:
            self.receive()
        return self.goaway

    def wait_goaway(self) -> "h2.events.ConnectionTerminated":
        """Reads until the first GOAWAY."""
        while self.goaway is None:
            assert not self.is_closed, "closed without GOAWAY"
            self.receive()
        return self.goaway

    def _feed(self, data: bytes) -> None:
        for frame in self._frames(data):
            self._note(self.h2.receive_data(frame))
            # The package takes GOAWAY for the end of everything, and it is only that of new streams.
            if self.h2.state_machine.state is ConnectionState.CLOSED:
                self.h2.state_machine.state = ConnectionState.CLIENT_OPEN

    def _frames(self, data: bytes) -> Iterator[bytes]:
        self._partial += data
        while len(self._partial) >= 9 and len(self._partial) >= (end := 9 + int.from_bytes(self._partial[:3])):
            frame, self._partial = self._partial[:end], self._partial[end:]
            yield frame

    def _note(self, events: Iterable[h2.events.Event]) -> None:
        for event in events:
            match event:
                case h2.events.ResponseReceived() | h2.events.InformationalResponseReceived():
                    self.answers[event.stream_id].heads.append(list(event.headers))
                case h2.events.DataReceived():
                    self.answers[event.stream_id].body += event.data
                    if self.takes:
                        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.TrailersReceived():
                    self.answers[event.stream_id].trailers = list(event.headers)
                case h2.events.StreamEnded():
                    self.answers[event.stream_id].is_ended = True
                case h2.events.StreamReset():
                    self.answers[event.stream_id].reset = int(event.error_code)
                case h2.events.ConnectionTerminated():
                    self.goaway = event


@contextmanager
def http2_clients() -> Iterator[Callable[..., Http2Client]]:
    """Connects to a port's address as often as it is called; all are closed behind the block."""
    with ExitStack() as connected:

        def connect(address: tuple[str, int], **options: Any) -> Http2Client:
            return connected.enter_context(Http2Client(socket.create_connection(address, DEADLINE), **options))

        yield connect
