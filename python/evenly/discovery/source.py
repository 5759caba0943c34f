"""What every source is: something that reports answers for as long as it can, and says why when it cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import ValidationError

from evenly.config.schema import Endpoint, EndpointAddress

Reason = Literal["timeout", "unreachable", "denied", "nxdomain", "refused", "invalid", "empty", "internal"]
"""Why a source failed, as one word: the label of a metric.

`unreachable`: nothing answers there. `denied`: this process may not ask. `refused`: it answers that it will not
(SERVFAIL, a status that is no success). `invalid`: the answer makes no sense. `internal`: a mistake of ours.
"""

Report = Callable[[Sequence[Endpoint]], None]
"""What a source calls with each answer, changed or not."""


LONGEST_TEXT = 500
"""Characters of an error: it is one line of a log and of a terminal, whatever a server has answered."""


class SourceError(Exception):
    """A source that gives no answer; the text says of what and why.

    The text may quote what a stranger has answered, so it is cut, and what is not printable (an escape sequence for the
    operator's terminal, half of a surrogate pair that no encoder takes) becomes a question mark.
    """

    def __init__(self, reason: Reason, text: str) -> None:
        shown = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
        super().__init__("".join(each if each.isprintable() else "?" for each in shown))
        self.reason: Reason = reason


UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What taking an answer apart raises that is not what it should be."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a source is for, and where it stands."""

    pool: str
    directory: Path
    """Where relative paths start: the directory of the configuration file."""


class Source(Protocol):
    """One source of one pool's endpoints."""

    @property
    def name(self) -> str:
        """What is asked, for people: "dns app.internal:9000"."""

    async def watch(self, report: Report) -> None:
        """Reports every answer, at the source's own pace, until it raises `SourceError` or is cancelled.

        Called again after a failure; what an earlier call has learned (an ETag) may be kept for the next.
        """


def endpoint(
    host: str, port: int, weight: int, *, priority: int = 0, zone: str | None = None, sni: str | None = None
) -> Endpoint:
    """An endpoint that a source found. Raises `SourceError` if its address, its zone or its name is none."""
    try:
        address = EndpointAddress.parse(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except ValueError as error:
        raise SourceError("invalid", f"expected an address and port, found {host!r} and {port}") from error
    try:
        return Endpoint(address=address, weight=weight, priority=priority, zone=zone, sni=sni)
    except ValidationError as error:
        what = f"a zone's name, found {zone!r}" if sni is None else f"a host's name, found {sni!r}"
        raise SourceError("invalid", f"{host}: expected {what}") from error
