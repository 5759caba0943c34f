"""What every source is: something that reports answers for as long as it can, and says why when it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from pydantic import ValidationError

from evenly.config.schema import Endpoint, EndpointAddress

Reason = Literal["timeout", "unreachable", "denied", "nxdomain", "refused", "invalid", "empty", "internal"]
"""Why a source failed, as one word: the label of a metric.

`unreachable`: nothing answers there. `denied`: this process may not ask. `refused`: it answers that it will not
(SERVFAIL, a status that is no success). `invalid`: the answer makes no sense. `internal`: a mistake of ours.
"""

TOLD = 5
"""Unusable entries whose problem is told; of more it is said how many."""

LONGEST_TEXT = 500
"""Characters of an error: it is one line of a log and of a terminal, whatever a server has answered."""


class SourceError(Exception):
    """A source that gives no answer; the text says of what and why.

    The text may quote what a stranger has answered, so it is cut, and what is not printable (an escape sequence for the
    operator's terminal, half of a surrogate pair that no encoder takes) becomes a question mark.
    """

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(printable(text))
        self.reason: Reason = reason


def printable(text: str) -> str:
    """A text that may quote what a stranger has answered, as it can be shown."""
    shown = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
    return "".join(each if each.isprintable() else "?" for each in shown)


UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What taking an answer apart raises that is not what it should be."""


@dataclass(slots=True)
class Unusable:
    """Entries of an answer that make no sense: how many, and what is wrong with the first in the order of the texts.

    Sources shuffle, and that alone is no change.
    """

    count: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, problem: str) -> None:
        """One more."""
        self.count += 1
        if len(self.problems) < TOLD or problem < self.problems[-1]:
            self.problems = sorted([*self.problems, printable(problem)])[:TOLD]

    def __str__(self) -> str:
        more = self.count - len(self.problems)
        return "; ".join(self.problems) + (f" … and {more:,} more" if more else "")


@dataclass(frozen=True, slots=True)
class Place:
    """What a source is for, and where it stands."""

    pool: str
    directory: Path
    """Where relative paths start: the directory of the configuration file."""


class Report(Protocol):
    """What a source calls with each answer, changed or not."""

    def __call__(self, endpoints: Sequence[Endpoint], unusable: Unusable | None = None, /) -> None:
        """The endpoints of an answer, and those of its entries that are none."""


class Source(Protocol):
    """One source of one pool's endpoints."""

    @property
    def name(self) -> str:
        """What is asked, for people: "dns app.internal:9000"."""

    async def watch(self, report: Report) -> None:
        """Reports every answer, at the source's own pace, until it raises `SourceError` or is cancelled.

        Called again after a failure; what an earlier call has learned (an ETag) may be kept for the next.
        """


def name_for_address(host: str) -> SourceError:
    """What to raise for a name where an address belongs."""
    text = f'expected an IP address, found the name "{host}"; for names there is discovery by DNS'
    return SourceError("invalid", text)


def endpoint(
    host: str, port: int, weight: int, *, priority: int = 0, zone: str | None = None, sni: str | None = None
) -> Endpoint:
    """An endpoint that a source found. Raises `SourceError` if its address, its zone or its name is none."""
    try:
        address = EndpointAddress.parse(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except ValueError as error:
        raise SourceError("invalid", f"expected an address and port, found {host!r} and {port}") from error
    if address.is_name:
        raise name_for_address(host)
    try:
        return Endpoint(address=address, weight=weight, priority=priority, zone=zone, sni=sni)
    except ValidationError as error:
        what = f"a zone's name, found {zone!r}" if sni is None else f"a host's name, found {sni!r}"
        raise SourceError("invalid", f"{host}: expected {what}") from error
