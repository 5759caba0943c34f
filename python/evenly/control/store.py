"""What outlives the process, in `state_dir`: what was set at run time, and the last endpoints that discovery found.

Two files, because one changes with every deployment and the other when somebody types. Each is written beside itself
and renamed, so that there is always a whole one; mode 0600, because edits may hold secrets. A file that cannot be read
is set aside with a line in the log, and the process starts without it: it must serve.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import structlog

from evenly.config.edits import Edits, RouteEdit
from evenly.config.schema import Endpoint
from evenly.control.evacuations import Evacuations
from evenly.control.splits import Splits
from evenly.control.status import OperatorState
from evenly.discovery.watcher import Known

VERSION = 1
"""Of the files' form. Another is not guessed at."""

EDITS = "edits.json"
FOUND = "discovered.json"

LARGEST_FILE = 64 << 20
"""Bytes. A hundred thousand endpoints take about ten."""

UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What reading a file raises that is not what was written."""

log = structlog.get_logger("evenly")
T = TypeVar("T")


@dataclass(frozen=True)
class Operated:
    """What an operator has set of one endpoint, by hand; `None` is as configured."""

    state: OperatorState | None = None
    weight: int | None = None
    gone: float | None = None
    """Since when no configuration has had the endpoint, in unix seconds."""


States = Mapping[str, Mapping[str, Operated]]
"""By pool and address; endpoints that are gone stay in it for a while, for they may come back."""


@dataclass(frozen=True)
class Kept:
    """Everything that outlives the process; also what it hands to its successor."""

    edits: Edits = field(default_factory=Edits)
    states: States = field(default_factory=dict)
    splits: Splits = field(default_factory=Splits)
    """Of which only those count whose routes are as they were."""
    evacuations: Evacuations = field(default_factory=dict)
    found: Mapping[str, Known] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For a successor."""
        return {"edits": edits_to_json(self), "found": found_to_json(self.found)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Kept:
        """Reads what `to_json` wrote. Raises one of `UNREADABLE` for anything else."""
        return replace(edits_from_json(data["edits"]), found=found_from_json(data["found"]))


NOTHING = Kept()


class Store:
    """A directory, or nothing to keep in."""

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory

    def load(self) -> Kept:
        """What is there; whatever cannot be read counts as not there. Blocking."""
        if self.directory is None or not self.directory.is_dir():
            return Kept()
        kept = self._read(EDITS, edits_from_json) or Kept()
        return replace(kept, found=self._read(FOUND, found_from_json) or {})

    def save_edits(self, kept: Kept) -> bool:
        """Keeps all but what was found; whether there is a place to. Blocking. Raises `OSError`."""
        return self._write(EDITS, edits_to_json(kept))

    def save_found(self, found: Mapping[str, Known]) -> bool:
        """Keeps them; whether there is a place to. Blocking. Raises `OSError`."""
        return self._write(FOUND, found_to_json(found))

    def set_aside(self, name: str, problem: str) -> None:
        """Renames a file that is of no use, so that somebody can look at it and nothing reads it again."""
        if self.directory is None:
            return
        path = self.directory / name
        aside = path.with_suffix(".refused.json")
        with contextlib.suppress(OSError):
            path.rename(aside)
        log.error("state not used", file=str(path), problem=problem, kept_as=aside.name)

    def _read(self, name: str, understand: Callable[[Any], T]) -> T | None:
        assert self.directory is not None  # noqa: S101 - `load` returns before
        try:
            with (self.directory / name).open("rb") as file:
                raw = file.read(LARGEST_FILE + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.set_aside(name, error.strerror or str(error))
            return None
        try:
            return understand(_content(raw))
        except UNREADABLE as error:
            self.set_aside(name, f"it cannot be read: {error!r}")
            return None

    def _write(self, name: str, content: Any) -> bool:  # noqa: ANN401 - JSON
        if self.directory is None:
            return False
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        text = json.dumps({"version": VERSION, "content": content}, ensure_ascii=False, separators=(",", ":"))
        # mkstemp makes it with mode 0600.
        descriptor, beside = tempfile.mkstemp(prefix=f".{name}.", dir=self.directory)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - of a descriptor
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(beside).rename(self.directory / name)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(beside).unlink()
            raise
        # The name must be on the disk as well, or a power cut brings the old file back.
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return True


def _content(raw: bytes) -> Any:  # noqa: ANN401 - JSON
    if len(raw) > LARGEST_FILE:
        raise ValueError(f"larger than {LARGEST_FILE >> 20} MiB")
    data = json.loads(raw)
    if data["version"] != VERSION:
        raise ValueError(f"its form has version {data['version']!r}, and this Evenly knows version {VERSION}")
    return data["content"]


def edits_to_json(kept: Kept) -> dict[str, Any]:
    """All but what was found, as it stands in the file."""
    edits = kept.edits
    return {
        "pools": dict(edits.pools),
        "endpoints": {pool: dict(entries) for pool, entries in edits.endpoints.items()},
        "routes": {name: {"table": edit.table, "before": edit.before} for name, edit in edits.routes.items()},
        "states": {
            pool: {address: _operated_to_json(each) for address, each in entries.items()}
            for pool, entries in kept.states.items()
        },
        "splits": kept.splits.dump(),
        "evacuations": dict(kept.evacuations),
    }


def edits_from_json(data: Any) -> Kept:  # noqa: ANN401 - JSON
    """Reads what `edits_to_json` wrote. Raises one of `UNREADABLE`."""
    edits = Edits(
        {name: _table(table) for name, table in data["pools"].items()},
        {
            pool: {address: _table(table) for address, table in entries.items()}
            for pool, entries in data["endpoints"].items()
        },
        {name: RouteEdit(_table(edit["table"]), edit["before"]) for name, edit in data["routes"].items()},
    )
    states = {
        pool: {address: _operated_from_json(each) for address, each in entries.items()}
        for pool, entries in data["states"].items()
    }
    # Files of an Evenly that kept neither are as good.
    splits = Splits.load(data.get("splits", {}))
    return Kept(edits, states, splits, {zone: _moment(until) for zone, until in data.get("evacuations", {}).items()})


def found_to_json(found: Mapping[str, Known]) -> dict[str, Any]:
    """As it stands in the file."""
    return {
        pool: {
            "answered": known.answered,
            "endpoints": [each.model_dump(mode="json", exclude_defaults=True) for each in known.endpoints],
        }
        for pool, known in found.items()
    }


def found_from_json(data: Any) -> dict[str, Known]:  # noqa: ANN401 - JSON
    """Reads what `found_to_json` wrote, by the schema. Raises one of `UNREADABLE`."""
    return {
        pool: Known(
            tuple(Endpoint.model_validate(each, strict=False) for each in entry["endpoints"]), float(entry["answered"])
        )
        for pool, entry in data.items()
    }


def _operated_to_json(each: Operated) -> dict[str, Any]:
    gone = {} if each.gone is None else {"gone": each.gone}
    return {"state": each.state, "weight": each.weight} | gone


def _operated_from_json(each: Any) -> Operated:  # noqa: ANN401 - JSON
    state, weight, gone = each["state"], each["weight"], each.get("gone")
    if weight is not None and type(weight) is not int:
        raise TypeError(f"expected a weight, found {weight!r}")
    return Operated(None if state is None else OperatorState(state), weight, None if gone is None else _moment(gone))


def _moment(value: Any) -> float:  # noqa: ANN401 - JSON
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"expected unix seconds, found {value!r}")
    return float(value)


def _table(table: Any) -> dict[str, Any] | None:  # noqa: ANN401 - JSON
    if table is not None and not isinstance(table, dict):
        raise TypeError(f"expected a table, found {type(table).__name__}")
    return table
