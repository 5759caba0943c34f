"""Edits: what is changed at run time on top of the file, so that the same schema judges the two together.

An edit names a pool, a route, or an endpoint of a pool, and says what stands there instead: a table as the file would
have it, or nothing. `edited` lays edits over what the file says and reads the result as if it had stood in one file;
problems in an edited part name the edit instead of a line.

What an edit refers to may have left the file since. Then it has no effect, which is said, and it counts again when the
file has that again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .load import Loaded, Source, load_source
from .problems import Place, Problem, dotted
from .schema import EndpointAddress, Settings

EDITED = "edited at run time"
"""Stands in problems where a file's name would."""

Entry = dict[str, Any] | None
"""A table as the file would have it; `None` takes away what the file has."""


@dataclass(frozen=True, slots=True)
class RouteEdit:
    """A route, and the route that it goes before; `None` leaves a known one where it is, a new one goes to the end."""

    table: Entry
    before: str | None = None


@dataclass(frozen=True)
class Edits:
    """All edits. Immutable: each change makes another."""

    pools: Mapping[str, Entry] = field(default_factory=dict)
    endpoints: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict)
    """By pool and by address as the file would write it."""
    routes: Mapping[str, RouteEdit] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pools) + len(self.routes) + sum(map(len, self.endpoints.values()))

    def with_pool(self, name: str, table: Entry) -> Edits:
        """Another pool in place of one, or none; earlier edits of its endpoints go with it."""
        endpoints = {pool: entries for pool, entries in self.endpoints.items() if pool != name}
        return replace(self, pools={**self.pools, name: table}, endpoints=endpoints)

    def with_endpoint(self, pool: str, address: str, table: Entry) -> Edits:
        """Another endpoint in place of one, or none."""
        entries = {**self.endpoints.get(pool, {}), address: table}
        return replace(self, endpoints={**self.endpoints, pool: entries})

    def with_route(self, name: str, edit: RouteEdit) -> Edits:
        """Another route in place of one, or none. The latest edit is applied last."""
        others = {other: each for other, each in self.routes.items() if other != name}
        return replace(self, routes={**others, name: edit})

    def without(self, name: str, noun: str) -> Edits:
        """Forgets the edit of a pool (with those of its endpoints) or a route: the file's word counts again."""
        pools = {other: each for other, each in self.pools.items() if (other, noun) != (name, "pool")}
        endpoints = {other: each for other, each in self.endpoints.items() if (other, noun) != (name, "pool")}
        routes = {other: each for other, each in self.routes.items() if (other, noun) != (name, "route")}
        return Edits(pools, endpoints, routes)

    def without_endpoint(self, pool: str, address: str) -> Edits:
        """Forgets the edit of an endpoint."""
        left = {other: each for other, each in self.endpoints.get(pool, {}).items() if other != address}
        rest = {other: entries for other, entries in self.endpoints.items() if other != pool}
        return replace(self, endpoints=rest | ({pool: left} if left else {}))


def edited(written: Loaded, edits: Edits) -> Loaded:
    """What a file and edits say together. Raises `ConfigError`; edits without effect are warnings."""
    if not edits:
        return written
    laying = _Laying(written.source)
    for name, table in edits.pools.items():
        laying.lay_pool(name, table)
    for pool, entries in edits.endpoints.items():
        for address, table in entries.items():
            laying.lay_endpoint(pool, address, table)
    for name, edit in edits.routes.items():
        laying.lay_route(name, edit)
    loaded = load_source(laying.source())
    idle = [Problem(EDITED, None, None, dotted(place), message) for place, message in laying.idle]
    return replace(loaded, warnings=[*loaded.warnings, *idle])


@dataclass(frozen=True)
class _EditedSource(Source):
    """Points into the file where the file still speaks."""

    file: Source
    moved: Mapping[Place, Place | None]
    """Where in the file something comes from that now stands elsewhere; `None` for what is edited."""

    def _at(self, place: Place, message: str) -> Problem:
        for length in range(len(place), 0, -1):
            if place[:length] not in self.moved:
                continue
            origin = self.moved[place[:length]]
            if origin is None:
                return Problem(EDITED, None, None, dotted(self._as_written(place)), message)
            return self.file.problem((*origin, *place[length:]), message)
        return self.file.problem(place, message)


class _Laying:
    """Lays edits over a file's tables, and remembers where each thing came from."""

    def __init__(self, source: Source) -> None:
        self._file = source
        # Routes get their names, and a file without routes the one that it means, before any edit could change either.
        self._data = dict(Settings.named(source.data))
        self._pools: dict[str, Any] = dict(self._data.get("pools", {}))
        self._routes: list[tuple[Any, Place | None]] = [
            (route, ("routes", index)) for index, route in enumerate(self._data.get("routes", []))
        ]
        self._moved: dict[Place, Place | None] = {}
        self.idle: list[tuple[Place, str]] = []

    def lay_pool(self, name: str, table: Entry) -> None:
        self._moved[("pools", name)] = None
        if table is not None:
            self._pools[name] = table
        elif self._pools.pop(name, None) is None:
            self.idle.append((("pools", name), "removed already: the file has no such pool"))

    def lay_endpoint(self, pool: str, address: str, table: Entry) -> None:
        place: Place = ("pools", pool, "endpoints", address)
        if pool not in self._pools:
            self.idle.append((place, "has no effect: there is no such pool"))
            return
        # A copy: what the file says must stay as it is for the next edit.
        held = self._pools[pool] = dict(self._pools[pool])
        entries = held.get("endpoints", [])
        entries = list(entries) if isinstance(entries, list) else [entries]
        known = ("pools", pool, "endpoints")
        origins = [self._moved.get((*known, index), (*known, index)) for index in range(len(entries))]
        found = next((index for index, entry in enumerate(entries) if address_of(entry) == address), None)
        if found is not None and table is None:
            del entries[found], origins[found]
        elif found is not None:
            entries[found], origins[found] = table, None
        elif table is not None:
            entries.append(table)
            origins.append(None)
        else:
            self.idle.append((place, "removed already: the pool has no such endpoint"))
        held["endpoints"] = entries
        if self._moved.get(("pools", pool), ()) is not None:
            self._moved |= {(*known, index): origin for index, origin in enumerate(origins)}

    def lay_route(self, name: str, edit: RouteEdit) -> None:
        at = self._index(name)
        if edit.table is None:
            if at is None:
                self.idle.append((("routes", name), "removed already: the file has no such route"))
            else:
                del self._routes[at]
            return
        entry = ({**edit.table, "name": name}, None)
        if at is not None and edit.before is None:
            self._routes[at] = entry
            return
        if at is not None:
            del self._routes[at]
        before = None if edit.before is None else self._index(edit.before)
        if edit.before is not None and before is None:
            self.idle.append((("routes", name), f'stands at the end: there is no route "{edit.before}" to go before'))
        self._routes.insert(len(self._routes) if before is None else before, entry)

    def source(self) -> Source:
        data = self._data | {"pools": self._pools, "routes": [route for route, _ in self._routes]}
        moved = self._moved | {("routes", index): origin for index, (_, origin) in enumerate(self._routes)}
        file = self._file
        return _EditedSource(file.name, file.directory, file.text, data, file=file, moved=moved)

    def _index(self, name: str) -> int | None:
        return next((index for index, (route, _) in enumerate(self._routes) if route.get("name") == name), None)


def address_of(entry: object) -> str:
    """An endpoint's address as every spelling of it is written: `[2001:DB8::1]:80` is `[2001:db8::1]:80`."""
    text = entry.get("address") if isinstance(entry, Mapping) else entry
    try:
        return str(EndpointAddress.parse(text)) if isinstance(text, str) else ""
    except ValueError:
        return str(text)
