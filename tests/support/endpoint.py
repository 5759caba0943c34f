"""An endpoint that the test plays itself: it accepts, reads what the balancer sent and answers byte by byte."""

import select
import socket
from typing import Self

from .wire import DEADLINE, Message, Peer

OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Endpoint:
    """A listening socket. Its text is its address."""

    def __init__(self, ip: str = "127.0.0.1", backlog: int = 64) -> None:
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        self.socket = socket.create_server((ip, 0), family=family, backlog=backlog)
        self.socket.settimeout(DEADLINE)
        self.ip, self.port = self.socket.getsockname()[:2]
        self.accepted: list[Peer] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"

    def accept(self) -> Peer:
        """The next connection."""
        peer = Peer(self.socket.accept()[0])
        self.accepted.append(peer)
        return peer

    def serve(self, answer: str | bytes = OK) -> tuple[Peer, Message]:
        """Accepts, reads one request and answers it; the connection stays open."""
        peer = self.accept()
        request = peer.read_request()
        peer.send(answer)
        return peer, request

    def is_asked(self, within: float = 0) -> bool:
        """Whether a connection waits to be accepted, or comes within so many seconds."""
        return bool(select.select([self.socket], [], [], within)[0])

    def close(self) -> None:
        """Closes everything."""
        self.socket.close()
        for peer in self.accepted:
            peer.close()
