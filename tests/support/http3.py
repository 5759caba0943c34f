"""A client of HTTP/3 whose frames the test decides on: `aioquic` keeps the state, the test moves the packets."""

import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from socket import AF_INET, SOCK_DGRAM, socket
from typing import Any, Self

from aioquic.h3.connection import H3_ALPN, H3Connection, encode_frame
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, StopSendingReceived, StreamReset

from .server import pattern
from .wire import DEADLINE

Fields = list[tuple[str, str]]
FIRST_PACKETS = 8
DATA, HEADERS, CANCEL_PUSH, SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID = 0, 1, 3, 4, 5, 7, 13

__all__ = ["Answer", "Http3Client", "encode_frame"]


@dataclass
class Answer:
    """What came on one stream so far."""

    heads: list[Fields] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    is_ended: bool = False
    reset: int | None = None
    stopped: int | None = None

    @property
    def status(self) -> int:
        """Of the last head."""
        return int(dict(self.heads[-1])[":status"])

    def one(self, name: str) -> str | None:
        """A field of the last head."""
        return dict(self.heads[-1]).get(name)


class Http3Client:
    """One connection. Nothing happens between two calls: packets are received and sent only within them."""

    def __init__(
        self,
        address: tuple[str, int],
        bundle: Path | None,
        *,
        name: str | None = "shop.test",
        is_raw: bool = False,
        ticket: Any = None,
        waits: bool = True,
        **options: Any,
    ) -> None:
        verify = ssl.CERT_REQUIRED if bundle else ssl.CERT_NONE
        options = {"alpn_protocols": H3_ALPN, "server_name": name, "verify_mode": verify, **options}
        configuration = QuicConfiguration(is_client=True, session_ticket=ticket, **options)
        if bundle:
            configuration.load_verify_locations(str(bundle))
        self.tickets: list[Any] = []
        self.sent: list[bytes] = []
        """The first packets, for tests that send them once more."""
        self.quic = QuicConnection(configuration=configuration, session_ticket_handler=self.tickets.append)
        self.answers: defaultdict[int, Answer] = defaultdict(Answer)
        self.is_agreed = self.is_resumed = False
        self.closed: tuple[int, str] | None = None
        self.address = address
        self.socket = socket(AF_INET, SOCK_DGRAM)
        self.h3 = None if is_raw else H3Connection(self.quic)
        self.quic.connect(address, now=time.time())
        if waits:
            self.until(lambda: self.is_agreed or self.closed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def begin(
        self, path: str, *fields: tuple[str, str], method: str = "GET", is_end: bool = True, host: str = "shop.test"
    ) -> int:
        """Sends a request's head; its stream."""
        stream = self.quic.get_next_available_stream_id()
        start = [(":method", method), (":scheme", "https"), (":authority", host), (":path", path)]
        self.headers(stream, start + list(fields), is_end)
        return stream

    def headers(self, stream: int, fields: Fields, is_end: bool = False) -> None:
        """Sends HEADERS."""
        assert self.h3
        self.h3.send_headers(stream, [(name.encode(), value.encode()) for name, value in fields], is_end)
        self.flush()

    def data(self, stream: int, body: bytes, is_end: bool = True) -> None:
        """Sends DATA."""
        assert self.h3
        self.h3.send_data(stream, body, is_end)
        self.flush()

    def raw(self, stream: int, data: bytes, is_end: bool = False) -> None:
        """Sends bytes on a stream."""
        self.quic.send_stream_data(stream, data, is_end)
        self.flush()

    def get(self, path: str, *fields: tuple[str, str], deadline: float = DEADLINE, **options: Any) -> Answer:
        """Sends a request and waits for the whole answer."""
        return self.answer(self.begin(path, *fields, **options), deadline)

    def answer(self, stream: int, deadline: float = DEADLINE) -> Answer:
        """Waits for the end of an answer, good or bad."""
        answer = self.answers[stream]
        self.until(lambda: answer.is_ended or answer.reset is not None or self.closed, deadline)
        return answer

    def flowing(self, stream: int) -> Answer:
        """As `answer`, however long it takes: as long as it never stands still."""
        answer = self.answers[stream]
        is_over = False
        while not is_over:
            seen = len(answer.body)
            self.until(lambda seen=seen: len(answer.body) > seen or answer.is_ended or answer.reset or self.closed)
            is_over = answer.is_ended or answer.reset is not None or self.closed is not None
        return answer

    def close(self) -> None:
        """Says that it goes."""
        self.quic.close()
        self.flush()

    def end(self, deadline: float = DEADLINE) -> int:
        """Waits for the connection's end; its code."""
        self.until(lambda: self.closed, deadline)
        assert self.closed
        return self.closed[0]

    def move(self, host: str = "") -> tuple[str, int]:
        """Goes on from another address, which it returns."""
        self.socket.close()
        self.socket = socket(AF_INET, SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.quic.change_connection_id()
        self.flush()
        address: tuple[str, int] = self.socket.getsockname()
        return address

    def until(self, holds: Callable[[], object], deadline: float = DEADLINE) -> None:
        """Moves packets until something holds."""
        give_up = time.monotonic() + deadline
        while not holds():
            left = give_up - time.monotonic()
            assert left > 0, f"not in {deadline} s: {dict(self.answers)} {self.closed}"
            self.flush()
            due = self.quic.get_timer()
            pause = left if due is None else min(left, max(0, due - time.time()))
            ready, _, _ = select([self.socket], [], [], pause)
            if ready:
                self._receive()
            now = time.time()
            if (due := self.quic.get_timer()) is not None and due <= now:
                self.quic.handle_timer(now)
            self._take()
        self.flush()

    def flush(self) -> None:
        """Sends what there is to send."""
        for packet, address in self.quic.datagrams_to_send(now=time.time()):
            self.socket.sendto(packet, address)
            if len(self.sent) < FIRST_PACKETS:
                self.sent.append(packet)

    def _receive(self) -> None:
        self.socket.setblocking(False)
        for _ in range(64):
            try:
                packet, address = self.socket.recvfrom(65_536)
            except OSError:
                break
            self.quic.receive_datagram(packet, address, time.time())
        self.socket.setblocking(True)

    def _take(self) -> None:
        # As soon as it comes: `aioquic` tells of it three timeouts later, which are long if a test was busy elsewhere.
        end: ConnectionTerminated | None = self.quic._close_event
        if end is not None:
            self.closed = (end.error_code, end.reason_phrase)
        while (event := self.quic.next_event()) is not None:
            match event:
                case HandshakeCompleted():
                    self.is_agreed, self.is_resumed = True, event.session_resumed
                case StreamReset():
                    self.answers[event.stream_id].reset = event.error_code
                case StopSendingReceived():
                    self.answers[event.stream_id].stopped = event.error_code
            for told in self.h3.handle_event(event) if self.h3 else ():
                self._note(told)

    def _note(self, told: object) -> None:
        if isinstance(told, HeadersReceived):
            answer = self.answers[told.stream_id]
            answer.heads.append([(name.decode(), value.decode()) for name, value in told.headers])
            answer.is_ended = told.stream_ended
        elif isinstance(told, DataReceived):
            answer = self.answers[told.stream_id]
            answer.body += told.data
            answer.is_ended = told.stream_ended


def both_ways(client: Http3Client, size: int) -> str:
    """Fetches a body from a server's `/bytes/`, and has it echoed; says how long either took."""
    body = pattern(0, size)
    began = time.monotonic()
    answer = client.flowing(client.begin(f"/bytes/{size}"))
    down = time.monotonic() - began
    assert answer.status == 200
    assert answer.body == body
    began = time.monotonic()
    stream = client.begin("/echo", ("content-length", str(size)), method="POST", is_end=False)
    client.data(stream, body)
    answer = client.flowing(stream)
    back = time.monotonic() - began
    assert answer.status == 200
    assert answer.body == body
    return f"{size >> 20} MiB: {down:.1f} s down, {back:.1f} s up and back"


def varints(values: Iterable[int]) -> bytes:
    """Variable-length integers below 2^14."""
    return b"".join(bytes([value]) if value < 64 else (value | 0x4000).to_bytes(2, "big") for value in values)
