"""Reads a configuration file: bytes → text → TOML → settings. Nothing outside of the file is looked at."""

import errno
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from . import consistency
from .auto_tls import cause
from .files import is_given, open_file
from .positions import Positions
from .problems import ConfigError, Place, Problem, dotted
from .schema import Settings
from .validate import validate

# 10,000 routes with every option written out take about 5 MiB; beyond this it is the wrong file.
LARGEST_FILE = 16 << 20


@dataclass(frozen=True)
class Source:
    """A text that settings came from, so that problems can point into it."""

    name: str
    """As the user gave it: `evenly.toml`."""
    directory: Path
    """Relative paths in the text start here."""
    text: str
    data: Mapping[str, Any]
    """What the text says, before short forms are expanded."""

    def problem(self, place: Place, message: str) -> Problem:
        """A problem at a place of the long form, with its line; the path is one that the user wrote."""
        caused = cause(self.data, place)
        return self._at(place, message) if caused is None else self._at(caused[0], message + caused[1])

    def _at(self, place: Place, message: str) -> Problem:
        place = self._as_written(place)
        found = self._positions.find(place)
        line, column = found if found is not None else (None, None)
        return Problem(self.name, line, column, dotted(place), message)

    def refusal(self, found: Iterable[tuple[Place, str]]) -> ConfigError:
        """All problems found, in the order of their lines."""
        # One place can bring about the same problem several times: `tls = "auto"`, once for each host.
        problems = dict.fromkeys(self.problem(place, message) for place, message in found)
        return ConfigError(sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0)))

    def _as_written(self, place: Place) -> Place:
        """Leaves out the steps that only a long form has: `endpoints[0].address` may be just `endpoints[0]`."""
        kept: Place = ()
        here: Any = self.data
        for step in place:
            if here is not None and not isinstance(here, dict | list):
                break
            if isinstance(here, dict) and isinstance(step, int):
                continue
            kept = (*kept, step)
            if isinstance(here, dict):
                here = here.get(str(step))
            elif isinstance(here, list):
                here = here[step] if isinstance(step, int) and step < len(here) else None
        return kept

    @cached_property
    def _positions(self) -> Positions:
        return Positions(self.text)


@dataclass(frozen=True)
class Loaded:
    """Settings that are complete and consistent in themselves, their source, and what is hardly meant."""

    settings: Settings
    source: Source
    warnings: list[Problem]


def load(path: str | os.PathLike[str], *, once: bool = False) -> Loaded:
    """Reads a file. Raises `ConfigError`.

    `once`: nobody will read it again, so a pipe that this process was started with will do as well.
    """
    name = os.fspath(path)
    try:
        with Path(name).open("rb") if once and is_given(name) else open_file(Path(name)) as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise _whole(name, _reason(error)) from None
    except ValueError:
        raise _whole(name, "a path has no NUL in it") from None
    if len(raw) > LARGEST_FILE:
        raise _whole(name, f"larger than {LARGEST_FILE >> 20} MiB; this is hardly a configuration")
    try:
        # Editors on Windows begin files with a byte order mark.
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(name, line, None, "", f"not UTF-8: byte 0x{raw[error.start]:02x}")]) from None
    return load_text(text, name, Path(name).parent)


def load_text(text: str, name: str, directory: Path) -> Loaded:
    """Reads a text; `name` stands in problems, relative paths start at `directory`. Raises `ConfigError`."""
    return load_source(Source(name, directory, text, _parse(text, name)))


def load_source(source: Source) -> Loaded:
    """Reads what TOML became. Raises `ConfigError` with every problem."""
    settings = validate(source.data)
    if isinstance(settings, list):
        raise source.refusal(settings)
    inconsistent = list(consistency.problems(settings))
    if inconsistent:
        raise source.refusal(inconsistent)
    return Loaded(settings, source, [source.problem(*warning) for warning in consistency.warnings(settings)])


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise _whole(name, "nested too deeply") from None
    # Not only its own error: an integer of 5,000 digits and a year 0 are plain ValueErrors.
    except (ValueError, OverflowError) as error:
        match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", str(error), re.DOTALL)
        if match is None:
            raise _whole(name, f"not TOML: {error}") from None
        message, line, column = match.groups()
        last = text.count("\n") + 1
        problem = Problem(name, int(line or last), int(column) if column else None, "", f"not TOML: {message}")
        raise ConfigError([problem]) from None


def _whole(name: str, message: str) -> ConfigError:
    return ConfigError([Problem(name, None, None, "", message)])


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "there is no such file"
        case errno.EISDIR:
            return "a directory, not a file"
        case errno.EACCES:
            return "permission to read it is missing"
        case _:
            return error.strerror or str(error)
