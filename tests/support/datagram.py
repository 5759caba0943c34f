"""UDP on both sides of the balancer: endpoints that answer by themselves, and clients with a deadline."""

import socket
import threading
from collections import Counter
from collections.abc import Callable
from typing import Self

from .wire import DEADLINE


class Echo:
    """A UDP endpoint: answers each datagram with its name and what it got; its text is its address.

    `answer` makes the answers of another kind: a list of datagrams for each one that came.
    """

    def __init__(
        self, name: str, ip: str = "127.0.0.1", port: int = 0, answer: Callable[[bytes], list[bytes]] | None = None
    ) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((ip, port))
        self.ip, self.port = self.socket.getsockname()[:2]
        self.received: list[bytes] = []
        self.sources: Counter[tuple[str, int]] = Counter()
        self._answer = answer or (lambda data: [self.name.encode() + b":" + data])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"

    def close(self) -> None:
        """Ends it: datagrams to it are refused from now on."""
        # An empty datagram from itself wakes the thread; closing alone would not.
        if self._thread.is_alive():
            self._stopping = True
            with socket.socket(self.socket.family, socket.SOCK_DGRAM) as waker:
                waker.sendto(b"", (self.ip, self.port))
            self._thread.join(DEADLINE)
        self.socket.close()

    _stopping = False

    def _serve(self) -> None:
        while not self._stopping:
            data, source = self.socket.recvfrom(65_536)
            if self._stopping:
                return
            self.received.append(data)
            self.sources[source[:2]] += 1
            for answer in self._answer(data):
                self.socket.sendto(answer, source)


class Asker:
    """A UDP client with a port of its own; answers from any other address than the one asked are not received."""

    def __init__(self, address: tuple[str, int], source: str | None = None) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(DEADLINE)
        if source is not None:
            self.socket.bind((source, 0))
        self.socket.connect(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def address(self) -> tuple[str, int]:
        """Its own."""
        ip, port = self.socket.getsockname()[:2]
        return ip, port

    def send(self, data: bytes = b"x") -> None:
        """One datagram."""
        self.socket.send(data)

    def receive(self) -> bytes:
        """The next answer; waits for it."""
        return self.socket.recv(65_536)

    def ask(self, data: bytes = b"x") -> bytes:
        """Sends one datagram and waits for one."""
        self.send(data)
        return self.receive()

    def asks_in_vain(self, data: bytes = b"x", within: float = 0.3) -> bool:
        """Whether a datagram gets no answer; only for promises about what must not happen."""
        self.send(data)
        self.socket.settimeout(within)
        try:
            self.receive()
        except (TimeoutError, ConnectionRefusedError):
            return True
        finally:
            self.socket.settimeout(DEADLINE)
        return False


def free_port(ip: str = "127.0.0.1") -> int:
    """A UDP port that nobody had a moment ago."""
    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((ip, 0))
        port: int = probe.getsockname()[1]
        return port
