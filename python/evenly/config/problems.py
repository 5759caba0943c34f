"""What can be wrong with a configuration: where it is, what was expected, and how a person reads it.

A place is the way to a value in the TOML file, one step per table key or array index:
`("pools", "app", "endpoints", 1, "weight")`, written `pools.app.endpoints[1].weight`.
"""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Place = tuple[str | int, ...]

# A terminal shows some fifty lines; whoever has more problems than that fixes these first.
SHOWN = 50

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or worth a warning.

    `file` is the name as the user gave it; `line` and `column` count from 1 and are `None` where there is no text to
    point at; `path` is the dotted place, empty for the file as a whole.
    """

    file: str
    line: int | None
    column: int | None
    path: str
    message: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (where, self.path, self.message) if part)


class ConfigError(Exception):
    """A configuration that is refused, with every problem that was found; at least one."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = list(problems)

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems[:SHOWN]]
        if len(self.problems) > SHOWN:
            lines.append(f"… and {len(self.problems) - SHOWN:,} more")
        return "\n".join(lines)


def dotted(place: Place) -> str:
    """A place as one writes it in TOML; keys that need quotes get them."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + key(step)
    return text


def key(name: str) -> str:
    """A TOML key, quoted if it must be."""
    return name if _BARE_KEY.fullmatch(name) else quoted(name)


def quoted(text: str) -> str:
    """A TOML basic string. JSON's escapes are TOML's too, except that TOML also wants DEL escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that the user most probably meant, or `None`."""
    candidates = list(known)
    foreign = ELSEWHERE.get(word.lower())
    if foreign in candidates:
        return foreign
    found = difflib.get_close_matches(word.lower(), candidates, n=1, cutoff=0.6)
    return found[0] if found else None


# What other load balancers call our nouns. Whoever comes from one of them is told our word.
ELSEWHERE = {
    "frontend": "listeners", "frontends": "listeners", "entrypoints": "listeners", "server": "listeners",
    "address": "bind", "addresses": "bind", "listen": "bind", "port": "bind",
    "backend": "pools", "backends": "pools", "upstream": "pools", "upstreams": "pools", "clusters": "pools",
    "services": "pools", "use_backend": "pool", "proxy_pass": "pool", "service": "pool", "cluster": "pool",
    "servers": "endpoints", "targets": "endpoints", "members": "endpoints",
    "locations": "routes", "location": "routes", "routers": "routes", "rules": "routes",
    "lb_policy": "balance", "algorithm": "balance", "method": "methods", "hosts": "host", "paths": "path",
    "check": "health_check", "healthcheck": "health_check", "rise": "healthy_after", "fall": "unhealthy_after",
    "threads": "workers", "maxconn": "max_connections", "log": "access_log", "type": "protocol",
}  # fmt: skip
