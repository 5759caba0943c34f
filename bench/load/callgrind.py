"""Reads callgrind's profiles: how many instructions, and whose. Pure.

The format: https://valgrind.org/docs/manual/cl-format.html. Positions are lines, the one event is ``Ir``.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

# Any of the interpreter's functions; a thread that runs Python has them on its stack, also where it only waited.
PYTHON = re.compile(r"^c?fn=\(\d+\) _?PyEval_", re.MULTILINE)

# `fl=(12) name` defines a number, `fl=(12)` refers to it.
NAMED = re.compile(r"(c?)(fn|fl|fi|fe|ob)=\((\d+)\)(?: (.*))?")


@dataclass(frozen=True)
class Place:
    """A line of a function; ``file`` is another than the function's own where code was inlined."""

    function: str
    file: str
    line: int


@dataclass
class Profile:
    """Instructions by function, by file and line, and by call: what the callee took with all that it called."""

    own: Counter[str] = field(default_factory=Counter)
    lines: Counter[tuple[str, int]] = field(default_factory=Counter)
    calls: Counter[tuple[Place, str]] = field(default_factory=Counter)

    def inclusive(self) -> Counter[str]:
        """Instructions of each function with all that it called; calls of itself are in its own already."""
        sums = Counter(self.own)
        for (place, callee), cost in self.calls.items():
            if place.function != callee:
                sums[place.function] += cost
        return sums

    def callers(self, part: str) -> Counter[str]:
        """Who called the functions whose name contains ``part``, as ``function (file:line)``."""
        sums: Counter[str] = Counter()
        for (place, callee), cost in self.calls.items():
            if part in callee:
                sums[f"{place.function} ({place.file}:{place.line})"] += cost
        return sums


def total(text: str) -> int:
    """Take the count of executed instructions (event ``Ir``); raise ``ValueError`` for what is no such profile."""
    events = re.search(r"^events: Ir\b", text, re.MULTILINE)
    counts = re.findall(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
    if events is None or not counts:
        raise ValueError("not a callgrind profile of instructions")
    return int(counts[-1])


def runs_python(text: str) -> bool:
    """Whether the thread of this profile belongs to Python."""
    return PYTHON.search(text) is not None


def read(texts: Iterable[str]) -> Profile:
    """Sum the profiles of several threads."""
    profile = Profile()
    for text in texts:
        _Reader(profile).read(text)
    return profile


class _Reader:
    """Where in a profile the reading is: its function, file and line, and a call whose cost comes next."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._names: dict[tuple[str, str], str] = {}
        self._function = self._file = self._callee = ""
        self._line = 0
        self._is_call = False

    def read(self, text: str) -> None:
        for line in text.splitlines():
            if named := NAMED.fullmatch(line):
                self._name(*named.groups())
            elif line.startswith("calls="):
                self._is_call = True
            elif line[:1].isdigit() or line[:1] in ("+", "-", "*"):
                self._cost(*line.split()[:2])

    def _name(self, called: str, kind: str, number: str, name: str | None) -> None:
        # Files have one space of numbers whether a function's own or inlined.
        space = "fl" if kind in ("fi", "fe") else kind
        if name is not None:
            self._names[space, number] = name
        if kind == "ob" or (called and kind != "fn"):
            return
        name = self._names[space, number]
        if called:
            self._callee = name
        elif kind == "fn":
            self._function = name
        else:
            self._file = name

    def _cost(self, position: str, count: str = "0") -> None:
        if position[0] in "+-":
            self._line += int(position)
        elif position != "*":
            self._line = int(position)
        if self._is_call:
            self._profile.calls[Place(self._function, self._file, self._line), self._callee] += int(count)
        else:
            self._profile.own[self._function] += int(count)
            self._profile.lines[self._file, self._line] += int(count)
        self._is_call = False
