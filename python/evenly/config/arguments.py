"""`evenly run --listen :8080 A B C`: a configuration without a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .load import Loaded, Source, load_source
from .problems import Place, Problem

# One listener and one pool; metrics and the API show them under this name.
NAME = "main"


@dataclass(frozen=True)
class _CommandLine(Source):
    """Points at arguments instead of lines."""

    def problem(self, place: Place, message: str) -> Problem:
        match place:
            case ("listeners", _, "bind", *_):
                argument = "--listen"
            case ("listeners", _, "protocol"):
                argument = "--protocol"
            case ("pools", _, "endpoints", int(index), *_):
                argument = f"endpoint {index + 1}"
            case _:
                return super().problem(place, message)
        return Problem(self.name, None, None, argument, message)


def from_arguments(listen: Sequence[str], endpoints: Sequence[str], protocol: str = "http") -> Loaded:
    """Balances what arrives at `listen` over `endpoints`. Raises `ConfigError`, which names the argument.

    Everything has its default, and endpoints are checked by connecting to them: whoever starts Evenly in one line
    expects it to notice a dead one, and nothing but a connection can be presumed of it; of one for datagrams, not even
    that.
    """
    listener: dict[str, Any] = {"bind": list(listen), "protocol": protocol}
    pool: dict[str, Any] = {"endpoints": list(endpoints)}
    if protocol in {"tcp", "udp"}:
        listener["pool"] = NAME
    if protocol != "udp":
        pool["health_check"] = "tcp"
    data = {"listeners": {NAME: listener}, "pools": {NAME: pool}}
    return load_source(_CommandLine("command line", Path(), "", data))
