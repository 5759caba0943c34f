"""What each edit of the running configuration is, given what runs: the admin API's writes, as decisions. Pure.

Each function returns the edits afterwards. Whether the result is a configuration that can run is for the schema and the
packet path to say, as with a file.
"""

from __future__ import annotations

from typing import Any

from evenly.config.edits import Edits, RouteEdit, address_of
from evenly.config.found import members
from evenly.control.origin import Configuration


class UnknownNameError(Exception):
    """A pool, a route or an endpoint that is not there; `known` are those that are."""

    def __init__(self, noun: str, name: str, known: list[str]) -> None:
        super().__init__(f"expected the {noun} to be one of {', '.join(known) or 'none at all'}; found {name}")
        self.known = known


class ConflictError(Exception):
    """An edit that contradicts what runs; the text says what to do instead."""


def put_pool(running: Configuration, name: str, table: dict[str, Any]) -> Edits:
    """A new pool, or another in place of one."""
    return running.edits.with_pool(name, table)


def delete_pool(running: Configuration, name: str) -> Edits:
    """No such pool any more. Raises `UnknownNameError`."""
    _must_know("pool", name, running.resolved.settings.pools)
    if name in running.written.settings.pools:
        return running.edits.with_pool(name, None)
    return running.edits.without(name, "pool")


def put_route(running: Configuration, name: str, table: dict[str, Any], before: str | None) -> Edits:
    """A new route, or another in place of one. Raises `UnknownNameError` and `ConflictError`."""
    if before is not None:
        _must_know("route", before, _routes(running))
    if before == name:
        raise ConflictError(f"a route cannot go before itself; leave `before` out to keep {name} where it is")
    if table.get("name", name) != name:
        raise ConflictError(f"the route is called {name} here, and {table['name']} in the body; routes are not renamed")
    return running.edits.with_route(name, RouteEdit(table, before))


def delete_route(running: Configuration, name: str) -> Edits:
    """No such route any more. Raises `UnknownNameError`."""
    _must_know("route", name, _routes(running))
    if name in {route.name for route in running.written.settings.routes}:
        return running.edits.with_route(name, RouteEdit(None))
    return running.edits.without(name, "route")


def add_endpoint(running: Configuration, pool: str, address: str, options: dict[str, Any]) -> Edits:
    """One more endpoint. Raises `UnknownNameError` and `ConflictError`."""
    _must_know("pool", pool, running.resolved.settings.pools)
    if address_of(options.get("address", address)) != address_of(address):
        raise ConflictError(f"the endpoint is {address} here, and {options['address']} in the body")
    address = address_of(address)
    if address in _entries(running, pool):
        raise ConflictError(f"{pool} has {address} already; PUT sets its state and weight")
    return running.edits.with_endpoint(pool, address, {**options, "address": address})


def remove_endpoint(running: Configuration, pool: str, address: str) -> Edits:
    """One endpoint less. Raises `UnknownNameError`, and `ConflictError` for one that was found, not written."""
    _must_know("pool", pool, running.resolved.settings.pools)
    address, entries = address_of(address), _entries(running, pool)
    if address in entries:
        left = running.edits.without_endpoint(pool, address)
        return left.with_endpoint(pool, address, None) if address in _entries_below(running, pool) else left
    found = {each.address: each.index for each in members(running.resolved, running.found, pool)}
    if address not in found:
        raise UnknownNameError("endpoint", address, [*entries, *(each for each in found if each not in entries)])
    if found[address] < len(entries):
        raise ConflictError(f"{address} is an address of {entries[found[address]]}; remove that, or drain {address}")
    raise ConflictError(f"{address} comes from discovery and would come back; remove it there, or drain it")


def discard(running: Configuration) -> Edits:
    """What the file says, and nothing else."""
    del running
    return Edits()


def _must_know(noun: str, name: str, known: object) -> None:
    names = [str(each) for each in known]  # type: ignore[attr-defined]
    if name not in names:
        raise UnknownNameError(noun, name, names)


def _routes(running: Configuration) -> list[str]:
    return [route.name for route in running.resolved.settings.routes]


def _entries(running: Configuration, pool: str) -> list[str]:
    """The addresses that a pool's `endpoints` lists, names as names."""
    return [str(each.address) for each in running.resolved.settings.pools[pool].endpoints]


def _entries_below(running: Configuration, pool: str) -> list[str]:
    """The addresses that it would list without edits of its endpoints."""
    replaced = running.edits.pools.get(pool)
    if replaced is not None:
        listed = replaced.get("endpoints", [])
        return [address_of(each) for each in (listed if isinstance(listed, list) else [listed])]
    written = running.written.settings.pools.get(pool)
    return [] if written is None else [str(each.address) for each in written.endpoints]
