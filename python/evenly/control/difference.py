"""What a reload of a configuration would touch, before it does: two documents and a status compared. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from evenly.config import Document, Problem
from evenly.control.evacuations import Evacuations, zones
from evenly.control.origin import Configuration
from evenly.control.status import ChangedNames, DataplaneStatus, Report

Item = dict[str, Any]

SET = "set at run time"
"""Stands in problems where a file's name would."""


class Touched(Report):
    """Connections and requests that a reload would leave alone, and those it would end once they are done."""

    connections_kept: int = Field(description="Client connections that stay.")
    connections_closed: int = Field(
        description="Client connections that end after what is under way on them: nobody listens there any more."
    )
    requests_finished: int = Field(
        description="Requests (tcp: connections) under way on endpoints that leave; they are finished."
    )


class Difference(Report):
    """What would change. Routes that only move are changed too, because their order decides."""

    differs: bool = Field(description="Whether anything would change.")
    process: list[str] = Field(description="Options of the process itself that would change.")
    listeners: ChangedNames
    routes: ChangedNames
    pools: ChangedNames
    endpoints: dict[str, ChangedNames] = Field(description="By pool; only pools whose endpoints differ.")
    touched: Touched
    warnings: list[str] = Field([], description="What works in the new configuration but is probably not meant.")


def difference(
    old: Document, new: Document, status: DataplaneStatus, warnings: Sequence[str] = (), process: Iterable[str] = ()
) -> Difference:
    """Compares what runs with what would run; `process` are options of its own that the documents do not have."""
    before, after = json.loads(old.text), json.loads(new.text)
    nouns = {noun: _changed(_by(before[noun]), _by(after[noun])) for noun in ("listeners", "routes", "pools")}
    nouns["routes"] = _with_moved(nouns["routes"], before["routes"], after["routes"])
    process = sorted(
        {name for name in before.keys() | after.keys() if name not in nouns and before.get(name) != after.get(name)}
        | set(process)
    )
    endpoints = _endpoints(_by(before["pools"]), _by(after["pools"]))
    return Difference(
        differs=bool(process) or any(any(names) for noun in nouns.values() for _, names in noun),
        process=process,
        listeners=nouns["listeners"],
        routes=nouns["routes"],
        pools=nouns["pools"],
        endpoints=endpoints,
        touched=_touched(after["listeners"], endpoints, status),
        warnings=list(warnings),
    )


def own_options(before: Configuration, after: Configuration) -> set[str]:
    """Options that differ and are of the control plane alone."""
    old, new = before.resolved, after.resolved
    return {
        name
        for name, differs in {
            "admin": old.admin != new.admin,
            "state_dir": old.state_directory != new.state_directory,
            "shutdown_timeout": old.shutdown_timeout != new.shutdown_timeout,
            "upgrade_timeout": old.upgrade_timeout != new.upgrade_timeout,
        }.items()
        if differs
    }


def changed_options(before: Configuration, after: Configuration) -> list[str]:
    """Options of the process that a reload has changed; the number of workers is one that it cannot."""
    by_name = {"listeners", "pools", "routes"}
    return sorted(before.document.differing(after.document) - by_name - {"workers"} | own_options(before, after))


def without_effect(running: Configuration, would: Configuration, evacuations: Evacuations) -> list[Problem]:
    """What operators have set at run time that a reload would clear, or leave without effect."""
    written = {route.name: route.split for route in would.resolved.settings.routes}
    cleared = [
        (f"routes.{route}.split", "would be cleared: its own weights are no longer those that it was set over")
        for route, (_, weights) in running.splits.by_route.items()
        if route not in would.splits.by_route and written.get(route) != weights
    ]
    left = evacuations.keys() - zones(would.document) if evacuations else ()
    empty = [(f"zones.{zone}", "would stay evacuated without an endpoint in it") for zone in sorted(left)]
    return [Problem(SET, None, None, place, message) for place, message in (*cleared, *empty)]


def _by(items: list[Item], name: str = "name") -> dict[str, Item]:
    return {item[name]: item for item in items}


def _changed(before: Mapping[str, Item], after: Mapping[str, Item]) -> ChangedNames:
    return ChangedNames(
        added=[name for name in after if name not in before],
        removed=[name for name in before if name not in after],
        changed=[name for name in after if name in before and before[name] != after[name]],
    )


def _with_moved(routes: ChangedNames, before: list[Item], after: list[Item]) -> ChangedNames:
    """Adds the routes of which another one that stays has come to stand before or after."""
    old = [route["name"] for route in before if route["name"] not in routes.removed]
    new = [route["name"] for route in after if route["name"] not in routes.added]
    moved = {name for name, other in zip(old, new, strict=True) if name != other}
    changed = [name for name in new if name in moved or name in routes.changed]
    return routes.model_copy(update={"changed": changed})


def _endpoints(before: Mapping[str, Item], after: Mapping[str, Item]) -> dict[str, ChangedNames]:
    found = {}
    for pool in [*after, *(pool for pool in before if pool not in after)]:
        old, new = (_by(side[pool]["endpoints"], "address") if pool in side else {} for side in (before, after))
        names = _changed(old, new)
        if names.added or names.removed or names.changed:
            found[pool] = names
    return found


def _touched(listeners: list[Item], endpoints: Mapping[str, ChangedNames], status: DataplaneStatus) -> Touched:
    bound = {address for listener in listeners for address in listener["bind"]}
    kept = closed = 0
    for listener in status.listeners:
        # Connections are counted by listener: of one that loses some of its addresses, all may be on those.
        if all(address in bound for address in listener.bind):
            kept += listener.connections
        else:
            closed += listener.connections
    leaving = {(pool, address) for pool, names in endpoints.items() for address in names.removed}
    finished = sum(
        endpoint.in_flight
        for pool in status.pools
        for endpoint in pool.endpoints
        if (pool.name, endpoint.address) in leaving
    )
    return Touched(connections_kept=kept, connections_closed=closed, requests_finished=finished)
