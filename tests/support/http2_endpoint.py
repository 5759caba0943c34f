"""An endpoint of HTTP/2 that the test plays itself, request by request, on connections that it accepts."""

import select
import socket
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import h2.config
import h2.events
import h2.settings

from .http2 import Fields, Http2End
from .wire import DEADLINE


@dataclass
class Asked:
    """What came on one stream so far."""

    stream: int
    head: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: Fields | None = None
    is_ended: bool = False
    reset: int | None = None


class Http2Peer(Http2End):
    """One connection of the balancer's."""

    def __init__(self, sock: socket.socket, *, takes: bool = True, settings: dict[Any, int] | None = None) -> None:
        config = h2.config.H2Configuration(
            client_side=False,
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        super().__init__(sock, config, takes=takes)
        self.asked: dict[int, Asked] = defaultdict(lambda: Asked(0))
        self.pings = 0
        self._served = 0
        if settings:
            values = {**self.h2.local_settings, **settings}
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values=values)
        self.h2.initiate_connection()
        self.flush()

    def wait(self, holds: Callable[[], object]) -> None:
        """Reads until it holds."""
        while not holds():
            assert not self.is_closed, f"closed by the balancer: {self.goaway}"
            self.receive()

    def begun(self) -> Asked:
        """The next request, once its head is there."""
        self.wait(lambda: len(self.asked) > self._served)
        self._served += 1
        return self.asked[sorted(self.asked)[self._served - 1]]

    def request(self) -> Asked:
        """The next request, once all of it is there."""
        asked = self.begun()
        self.wait(lambda: asked.is_ended)
        return asked

    def head(self, stream: int, *fields: tuple[str, str], status: str = "200", ends: bool = False) -> None:
        """Begins an answer."""
        self.h2.send_headers(stream, [(":status", status), *fields], end_stream=ends)
        self.flush()

    def answer(
        self, stream: int, body: bytes = b"ok", *fields: tuple[str, str], trailers: Fields | None = None
    ) -> None:
        """A whole answer."""
        self.head(stream, *fields)
        self.data(stream, body, ends=trailers is None)
        if trailers is not None:
            self.h2.send_headers(stream, trailers, end_stream=True)
            self.flush()

    def data(self, stream: int, body: bytes, *, ends: bool = False) -> None:
        """A piece of an answer's body."""
        self.send(stream, body, ends=ends)

    def reset(self, stream: int, code: int) -> None:
        """Gives a stream up."""
        self.h2.reset_stream(stream, code)
        self.flush()

    def go_away(self, last: int, code: int = 0) -> None:
        """GOAWAY; the package would take it for the end of the connection."""
        payload = last.to_bytes(4, "big") + code.to_bytes(4, "big")
        self.socket.sendall(b"\0\0\x08\x07\0\0\0\0\0" + payload)

    def _feed(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            self._note(event)

    def _note(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                self.asked[event.stream_id] = Asked(event.stream_id, dict(event.headers))
            case h2.events.DataReceived():
                self.asked[event.stream_id].body += event.data
                if self.takes:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.TrailersReceived():
                self.asked[event.stream_id].trailers = list(event.headers)
            case h2.events.StreamEnded():
                self.asked[event.stream_id].is_ended = True
            case h2.events.StreamReset():
                self.asked[event.stream_id].reset = int(event.error_code)
            case h2.events.ConnectionTerminated():
                self.goaway = event
            case h2.events.PingReceived():
                self.pings += 1


class Http2Endpoint:
    """A listening socket. Its text is its address."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(DEADLINE)
        self.port = self.socket.getsockname()[1]
        self.accepted: list[Http2Peer] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        for peer in self.accepted:
            peer.socket.close()

    def __str__(self) -> str:
        return f"127.0.0.1:{self.port}"

    def accept(self, **options: Any) -> Http2Peer:
        """The next connection."""
        peer = Http2Peer(self.socket.accept()[0], **options)
        self.accepted.append(peer)
        return peer

    def is_asked(self, within: float = 0) -> bool:
        """Whether a connection waits to be accepted, or comes within so many seconds."""
        return bool(select.select([self.socket], [], [], within)[0])
