"""Where each key and element stands in a TOML text.

The standard library's parser returns values without lines, so this second reader walks the text once more and notes
offsets. It only ever sees text that `tomllib` has accepted, so it does not check anything; and it only runs when there
is a problem to report, so its cost does not matter.
"""

import re
import tomllib
from bisect import bisect_right

from .problems import Place

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
# In this order: three quotes before one. A multi-line string may end in up to two quotes of its own.
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})' r"|'''.*?'''(?:'{0,2})" r'|"(?:\\.|[^"\\])*"' r"|'[^']*'", re.DOTALL
)
# Numbers, booleans and dates (which may hold a space) run to the next delimiter.
_SCALAR = re.compile(r"[^,\]}\n#]*")


class Positions:
    """Line and column (both from 1) of every place in a TOML text that `tomllib` accepts."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._lines = [0, *(match.end() for match in re.finditer("\n", self._text))]
        self._last: dict[Place, int] = {}
        self._offsets: dict[Place, int] = {}
        self._read_document()

    def places(self) -> set[Place]:
        """Every place that stands in the text."""
        return set(self._offsets)

    def find(self, place: Place) -> tuple[int, int] | None:
        """Line and column of a place, or of the nearest place around it that stands in the text."""
        for length in range(len(place), 0, -1):
            offset = self._offsets.get(place[:length])
            if offset is not None:
                line = bisect_right(self._lines, offset)
                return line, offset - self._lines[line - 1] + 1
        return None

    def _read_document(self) -> None:
        table: Place = ()
        while not self._at_end_after(_BLANK):
            if self._text.startswith("[[", self._at):
                table = self._read_array_header()
            elif self._text[self._at] == "[":
                self._at += 1
                table = self._enter(self._read_keys())
                self._at += 1
            else:
                self._read_pair(table)

    def _read_array_header(self) -> Place:
        """`[[a.b]]`: one more element of the array of tables `a.b`."""
        self._at += 2
        keys = self._read_keys()
        self._at += 2
        (name, offset) = keys[-1]
        array = (*self._enter(keys[:-1]), name)
        self._offsets.setdefault(array, offset)
        index = self._last.get(array, -1) + 1
        self._last[array] = index
        self._offsets[(*array, index)] = offset
        return (*array, index)

    def _enter(self, keys: list[tuple[str, int]]) -> Place:
        """The table that a header names: a step into an array of tables is one into its last element."""
        place: Place = ()
        for name, offset in keys:
            place = (*place, name)
            self._offsets.setdefault(place, offset)
            if place in self._last:
                place = (*place, self._last[place])
        return place

    def _read_pair(self, table: Place) -> None:
        """`key = value`, where a dotted key names tables on its way."""
        place = table
        for name, offset in self._read_keys():
            place = (*place, name)
            self._offsets.setdefault(place, offset)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._read_value(place)

    def _read_keys(self) -> list[tuple[str, int]]:
        keys: list[tuple[str, int]] = []
        while True:
            self._skip(_SPACE)
            start = self._at
            if self._text[start] in "\"'":
                literal = self._skip(_STRING)
                keys.append((tomllib.loads(f"key = {literal}")["key"], start))
            else:
                keys.append((self._skip(_BARE), start))
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _read_value(self, place: Place) -> None:
        first = self._text[self._at]
        if first in "\"'":
            self._skip(_STRING)
        elif first == "[":
            self._read_array(place)
        elif first == "{":
            self._read_inline_table(place)
        else:
            self._skip(_SCALAR)

    def _read_array(self, place: Place) -> None:
        self._at += 1
        index = 0
        while self._next_in_brackets("]"):
            self._offsets[(*place, index)] = self._at
            self._read_value((*place, index))
            index += 1

    def _read_inline_table(self, place: Place) -> None:
        self._at += 1
        while self._next_in_brackets("}"):
            self._read_pair(place)

    def _next_in_brackets(self, closing: str) -> bool:
        """Skips to the next element, or past the closing bracket and says that there is none."""
        self._skip(_BLANK)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_BLANK)
        if self._text[self._at] == closing:
            self._at += 1
            return False
        return True

    def _at_end_after(self, pattern: re.Pattern[str]) -> bool:
        self._skip(pattern)
        return self._at >= len(self._text)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(f"tomllib accepted what cannot be read here, at offset {self._at}")
        self._at = match.end()
        return match[0]
