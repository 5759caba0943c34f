"""What is carried over from one configuration to the next beside the packet path's own memory. Pure."""

from __future__ import annotations

import json
import time

from evenly.config import Document, Settings
from evenly.config.schema import EndpointAddress
from evenly.control.origin import Configuration
from evenly.control.status import OperatorState, OperatorWeight
from evenly.control.store import Operated, States
from evenly.discovery.watcher import Known


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


def returning(states: States, before: Document, after: Document) -> States:
    """What an operator had set of endpoints that come with `after`."""
    if not states:
        return {}
    joining = _addresses(after) - _addresses(before)
    back = {
        pool: {address: each for address, each in entries.items() if (pool, address) in joining}
        for pool, entries in states.items()
    }
    return {pool: entries for pool, entries in back.items() if entries}


def as_health(states: States) -> str:
    """States in the form of `Dataplane.health`; "" if there are none."""
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
    return json.dumps({"endpoints": endpoints, "evacuations": []}) if endpoints else ""


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


def _addresses(document: Document) -> set[tuple[str, str]]:
    pools = json.loads(document.text)["pools"]
    return {(pool["name"], endpoint["address"]) for pool in pools for endpoint in pool["endpoints"]}
