"""The admin interface: metrics, status and the API."""

from dataclasses import dataclass
from typing import ClassVar, Self

from pydantic import Field, model_validator

from .table import Table, refused, written
from .words import FilePath, join_port, parse_ip, split_port

# sockaddr_un.sun_path has 108 bytes on Linux, the last of which is a NUL.
_LONGEST_SOCKET_PATH = 107


@written('an absolute path such as "/run/evenly/admin.sock", or an address such as "127.0.0.1:9900"')
@dataclass(frozen=True, order=True, slots=True)
class AdminAddress:
    """A Unix socket's path, or an IP address and port (`port` is `None` for a path)."""

    place: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        if text.startswith("/"):
            if len(text.encode()) > _LONGEST_SOCKET_PATH or "\0" in text:
                raise ValueError(f"a socket's path has at most {_LONGEST_SOCKET_PATH} bytes")
            return cls(text)
        host, port = split_port(text)
        ip = parse_ip(host)
        if ip is None:
            raise ValueError("the address must be an IP address; it decides whether a token is needed")
        return cls(str(ip), port)

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        ip = parse_ip(self.place)
        return ip is None or ip.is_loopback

    def __str__(self) -> str:
        return self.place if self.port is None else join_port(self.place, self.port)


class Admin(Table):
    """Metrics, status and the API, for people and scrapers; never for clients."""

    heading: ClassVar[str] = "Admin"
    where: ClassVar[str] = "[admin]"
    example: ClassVar[str] = """
[admin]
bind = "10.0.0.5:9900"
token_file = "/etc/evenly/token"
"""

    bind: AdminAddress | None = Field(
        default=None,
        description="A Unix socket's path or an address. By itself the socket `admin.sock` in the first of these that "
        "applies: `$RUNTIME_DIRECTORY` (set by systemd), `/run/evenly` for root, `$XDG_RUNTIME_DIR/evenly`, "
        "`~/.evenly`.",
        examples=["127.0.0.1:9900"],
    )
    token_file: FilePath | None = Field(
        default=None,
        description="A file with the bearer token that every request must carry; relative to the configuration file. "
        "Required when other machines can reach `bind`.",
        examples=["/etc/evenly/token"],
    )

    @model_validator(mode="after")
    def _check_token(self) -> Self:
        if self.bind is not None and not self.bind.is_local and self.token_file is None:
            raise refused(f"required, because other machines can reach {self.bind}", "token_file")
        return self
