"""What is carried over from one configuration to the next beside the packet path's own memory. Pure."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace

from evenly.config import Document, Settings
from evenly.config.schema import EndpointAddress
from evenly.control.evacuations import Evacuations
from evenly.control.origin import Configuration
from evenly.control.status import OperatorState, OperatorWeight
from evenly.control.store import Operated, States
from evenly.discovery.watcher import Known

FORGOTTEN_AFTER_SECONDS = 7 * 86_400.0
"""What a deployment or an outage has taken away is back within days. An address that comes back later is likely to be
somebody else's, who should not find that it drains."""

MOST_GONE = 10_000
"""A megabyte or two. A tool that drains each container before it ends one leaves that many behind in some days."""


def with_state(
    states: States, pool: str, address: str, state: OperatorState | None, weight: int | OperatorWeight | None
) -> States:
    """What an operator has set, after one more word of theirs; `None` leaves it as it was."""
    of_pool = dict(states.get(pool, {}))
    before = of_pool.get(address, Operated())
    state = before.state if state is None else None if state is OperatorState.READY else state
    kept = before.weight if weight is None else weight
    after = Operated(state, None if isinstance(kept, OperatorWeight) else kept)
    if after == Operated():
        of_pool.pop(address, None)
    else:
        of_pool[address] = after
    others = {other: entries for other, entries in states.items() if other != pool}
    return others | ({pool: of_pool} if of_pool else {})


def of_endpoint(states: States, pool: str, address: str) -> Operated:
    """What an operator has set of one endpoint."""
    return states.get(pool, {}).get(address, Operated())


def under(states: States, document: Document, now: float) -> tuple[States, States]:
    """What an operator had set, as another configuration leaves it; and of that, what is of endpoints that are back.

    Endpoints that are gone are noted as such, and forgotten when they have been for too long or are too many.
    """
    if not states:
        return states, {}
    there = _addresses(document)
    every = {(pool, address): each for pool, entries in states.items() for address, each in entries.items()}
    back = {place: replace(each, gone=None) for place, each in every.items() if each.gone and place in there}
    # A clock that was put back must not keep anything for longer.
    gone = {place: min(each.gone or now, now) for place, each in every.items() if place not in there}
    last = sorted((place for place in gone if now - gone[place] < FORGOTTEN_AFTER_SECONDS), key=gone.__getitem__)
    left = {place: replace(every[place], gone=gone[place]) for place in last[-MOST_GONE:]}
    kept = {place: back.get(place) or left.get(place) or each for place, each in every.items()}
    return _by_pool({place: each for place, each in kept.items() if place in there or place in left}), _by_pool(back)


def as_health(states: States, evacuations: Evacuations | None = None, now: float = 0) -> str:
    """States and evacuated zones in the form of `Dataplane.health`; "" if there are none."""
    endpoints = [
        {
            "pool": pool,
            "endpoint": address,
            # What every endpoint begins with: its first check judges it.
            "health": "starting",
            "admin": str(each.state or OperatorState.READY),
            "weight": each.weight,
        }
        for pool, entries in states.items()
        for address, each in entries.items()
    ]
    lasting = [
        {"zone": zone, "left_ms": max(round((until - now) * 1000), 0)} for zone, until in (evacuations or {}).items()
    ]
    return json.dumps({"endpoints": endpoints, "evacuations": lasting}) if endpoints or lasting else ""


def standing_in(running: Configuration, settings: Settings) -> dict[str, Known]:
    """Written endpoints of pools that are to have only a source now: they stay until it has answered."""
    found = {}
    for name, pool in settings.pools.items():
        before = running.resolved.settings.pools.get(name)
        if pool.discovery is None or pool.endpoints or before is None or before.discovery is not None:
            continue
        written = tuple(
            each.options.model_copy(update={"address": EndpointAddress.parse(each.address)})
            for each in running.resolved.endpoints[name]
        )
        found[name] = Known(written, time.time())
    return found


def _by_pool(states: Mapping[tuple[str, str], Operated]) -> States:
    found: dict[str, dict[str, Operated]] = {}
    for (pool, address), each in states.items():
        found.setdefault(pool, {})[address] = each
    return found


def _addresses(document: Document) -> set[tuple[str, str]]:
    pools = json.loads(document.text)["pools"]
    return {(pool["name"], endpoint["address"]) for pool in pools for endpoint in pool["endpoints"]}
