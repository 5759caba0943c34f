"""Ports for listeners, reserved so that no other process gets them between the choice and the bind.

A socket with SO_REUSEPORT that is bound and does not listen holds its port against everyone but sockets of the same
user with the same option (socket(7)). Evenly binds with it anyway. As long as nobody listens, connections are refused,
which makes a reserved port an endpoint that is not there.
"""

import socket
from dataclasses import dataclass, field


@dataclass
class Port:
    """A reserved port of the loopback address; its text is `IP:PORT`."""

    ip: str = "127.0.0.1"
    number: int = 0
    _holder: socket.socket | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        family = socket.AF_INET6 if ":" in self.ip else socket.AF_INET
        self._holder = socket.socket(family, socket.SOCK_STREAM)
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._holder.bind((self.ip, 0))
        self.number = self._holder.getsockname()[1]

    @property
    def address(self) -> tuple[str, int]:
        """For `socket.connect`."""
        return self.ip, self.number

    def release(self) -> None:
        """Lets it go."""
        if self._holder is not None:
            self._holder.close()

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.number}" if ":" in self.ip else f"{self.ip}:{self.number}"
