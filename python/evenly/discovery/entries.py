"""Answers that list what others have registered: an entry that makes no sense does not hold up those that do.

Any team can put one into the catalogue of all. If it made the whole answer invalid, the pool would keep its last good
endpoints for as long as it is there, the dead ones too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from evenly.config.schema import Endpoint
from evenly.discovery.source import UNREADABLE, SourceError, Unusable

T = TypeVar("T")


def listed(raw: bytes, what: str) -> list[Any]:
    """The entries of a list in JSON; `what` it should have been. Raises `SourceError`."""
    try:
        entries = json.loads(raw)
    except UNREADABLE as error:
        raise SourceError("invalid", f"not {what}: {error!r}") from error
    if not isinstance(entries, list):
        raise SourceError("invalid", f"not {what}: it is no list")
    return entries


def usable(
    entries: Iterable[T], understand: Callable[[T], Endpoint | None], name: Callable[[T], str], what: str
) -> tuple[list[Endpoint], Unusable]:
    """The endpoints of those entries that can be used, and what is wrong with the others.

    `understand` raises `SourceError` or one of `UNREADABLE`, and is silent (`None`) about what is no endpoint yet.
    Raises `SourceError` if no entry can be used although there are some that should be.
    """
    found, others = list[Endpoint](), Unusable()
    for entry in entries:
        try:
            endpoint = understand(entry)
        except SourceError as error:
            others.add(f"{_named(entry, name)}: {error}")
        except UNREADABLE as error:
            others.add(f"{_named(entry, name)}: not {what}: {error!r}")
        else:
            found += [] if endpoint is None else [endpoint]
    if others.count and not found:
        raise SourceError("invalid", str(others))
    return found, others


def _named(entry: T, name: Callable[[T], str]) -> str:
    try:
        return str(name(entry))
    except UNREADABLE:
        return "an entry without a name"
