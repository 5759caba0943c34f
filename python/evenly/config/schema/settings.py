"""The whole file."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from .acme import Acme
from .admin import Admin
from .affinity import AffinitySecrets
from .listener import Listener
from .node import Node
from .pool import Pool
from .route import Route, name_by_place
from .table import Says, Table, expected, integer, refused, widened
from .tls import Certificate, SessionTickets
from .units import Duration, Size, Timeout, sizes
from .words import FieldValue, FilePath, Name

# The statuses that Evenly answers by itself; a page for any other would never be shown.
ERROR_STATUSES = (400, 401, 403, 404, 405, 408, 413, 414, 417, 429, 431, 500, 501, 502, 503, 504, 505)


_STATUSES = ", ".join(map(str, ERROR_STATUSES))
_STATUS = f"a status that Evenly answers by itself ({_STATUSES})"
_WORKERS = '"auto" or an integer from 1 to 1024'


def _check_status(value: str) -> str:
    if value not in {str(status) for status in ERROR_STATUSES}:
        raise expected(_STATUS)
    return value


def _check_workers(value: object) -> object:
    if value != "auto" and (not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1024):
        raise expected(_WORKERS)
    return value


class ErrorPage(Table):
    """The user's page for an error that Evenly answers itself. Short form: the path of a file."""

    heading: ClassVar[str] = "Error page"
    where: ClassVar[str] = "[error_pages]"
    example: ClassVar[str] = """
[error_pages]
503 = { body = "Back in a minute.\\n", content_type = "text/plain; charset=utf-8" }
"""

    file: FilePath | None = Field(
        default=None,
        description=(
            "A file (UTF-8, at most 1 MiB), read when the configuration is; relative to the configuration file."
        ),
        examples=["pages/503.html"],
    )
    body: str | None = Field(default=None, max_length=1 << 20, description="Instead of `file`: the page itself.")
    content_type: FieldValue = Field(default="text/html; charset=utf-8", description="Its `Content-Type`.")

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.file is None) == (self.body is None):
            raise refused("expected exactly one of `file` and `body`")
        return self


ErrorPageOrFile = Annotated[ErrorPage, widened(lambda v: {"file": v} if isinstance(v, str) else v, str, ErrorPage)]


class AccessLog(Table):
    """Where requests are logged. Short form: just the path."""

    heading: ClassVar[str] = "Access log"
    where: ClassVar[str] = "[access_log]"
    example: ClassVar[str] = """
access_log = { path = "/var/log/evenly/access.log", format = "text" }
"""

    path: FilePath = Field(
        description='A file, relative to the configuration file; or `"-"` for standard output.', examples=["-"]
    )
    format: Literal["json", "text"] = Field(
        default="json", description="One JSON object a line, or the combined log format with Evenly's fields after it."
    )
    ring: Annotated[Size, sizes("4KiB", "64MiB")] = Field(
        default=Size.parse("1MiB"),
        description=(
            "Buffer of each worker. What does not fit because the disk is slow is dropped and counted; "
            "requests never wait for their log line."
        ),
    )
    ja4: bool = Field(
        default=False,
        description="Whether lines of clients that come over TLS have the fingerprint of their ClientHello (JA4).",
    )


AccessLogOrPath = Annotated[
    AccessLog, widened(lambda v: {"path": v} if isinstance(v, str) else v, str, AccessLog, 'a path, "-" or a table')
]


class Settings(Table):
    """The options of the process itself. All of them stand above the first table of the file."""

    heading: ClassVar[str] = "Process"
    where: ClassVar[str] = "the top of the file, above the first table"
    example: ClassVar[str] = """
workers = 4
shutdown_timeout = "1m"
access_log = "-"
"""

    workers: Annotated[Literal["auto"] | int, BeforeValidator(_check_workers), Says(_WORKERS)] = Field(
        default="auto",
        description='Worker threads, each with its own sockets: `"auto"` is one for each core that the process may use '
        "(affinity and container limits count), or a number up to 1024. Changing it takes `evenly upgrade`.",
    )
    max_connections: Annotated[int, integer(1, 10_000_000)] = Field(
        default=50_000,
        description=(
            "Client connections over all listeners. Never above half of the file descriptor limit, because "
            "each may need one to an endpoint, less some that the process itself needs (128, at most a quarter)."
        ),
    )
    shutdown_timeout: Timeout = Field(
        default=Duration.parse("30s"), description="How long SIGTERM waits for requests under way before it cuts them."
    )
    upgrade_timeout: Timeout = Field(
        default=Duration.parse("10m"),
        description="How long the old process of `evenly upgrade` waits for what is under way on it.",
    )
    state_dir: FilePath | None = Field(
        default=None,
        description="A directory, relative to the configuration file, for what must outlive the process: edits made "
        "over the admin API, operators' states, weights of splits and evacuated zones, and the last endpoints that "
        "discovery found, so that a restart serves while a source is down. Made if it is not there; files in it are "
        "for this user alone. Each process needs its own. Unset, these end with the process.",
        examples=["/var/lib/evenly"],
    )
    access_log: AccessLogOrPath | None = Field(
        default=None, description="Where requests are logged; unset is no access log.", examples=["-"]
    )
    error_pages: dict[Annotated[str, BeforeValidator(_check_status), Says(_STATUS)], ErrorPageOrFile] = Field(
        default={},
        description=f"Pages by status; the statuses are those that Evenly answers by itself: {_STATUSES}.",
        examples=[{"503": "pages/503.html"}],
    )
    affinity: AffinitySecrets = Field(default=AffinitySecrets(), description="What affinity cookies are signed with.")
    certificates: dict[Name, Certificate] = Field(default={}, description="What listeners with TLS show, by name.")
    acme: Acme = Field(default=Acme(), description="What certificates with `acme` have in common.")
    session_tickets: SessionTickets = Field(
        default=SessionTickets(), description="What TLS session tickets are sealed with."
    )
    admin: Admin = Field(default=Admin(), description="Metrics, status and the API.")
    node: Node = Field(default=Node(), description="What sets this node apart from others with the same file.")
    listeners: dict[Name, Listener] = Field(min_length=1, description="Where clients connect, by name.")
    pools: dict[Name, Pool] = Field(default={}, description="Groups of endpoints, by name.")
    routes: list[Route] = Field(default=[], description="Tried in file order.")

    @model_validator(mode="before")
    @classmethod
    def _name_routes(cls, data: object) -> object:
        return cls.named(data) if isinstance(data, dict) else data

    @staticmethod
    def named(data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Names routes by their place, and writes down the route that a file without routes means."""
        if data.get("routes", []) != []:
            return {**data, "routes": name_by_place(data["routes"])}
        pools, listeners = data.get("pools"), data.get("listeners")
        if not isinstance(pools, dict) or not isinstance(listeners, dict) or len(pools) != 1:
            return data
        protocols = [
            listener.get("protocol") if isinstance(listener, dict) else None for listener in listeners.values()
        ]
        if all(protocol in {"tcp", "udp"} for protocol in protocols):
            return data
        return {**data, "routes": [{"name": "default", "pool": next(iter(pools))}]}
