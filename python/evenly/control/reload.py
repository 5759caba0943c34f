"""A reload: read, check, resolve, build, swap. Whatever fails, the running configuration stays."""

from __future__ import annotations

import time

import structlog

from evenly.control.binding import check_addresses
from evenly.control.dataplane import Dataplane
from evenly.control.origin import Configuration
from evenly.control.splits import Splits
from evenly.control.states import as_health, under
from evenly.control.status import Changes, DocumentWarning
from evenly.control.store import States
from evenly.discovery.watcher import NAMED

log = structlog.get_logger("evenly")


def apply(
    configuration: Configuration, dataplane: Dataplane, running: Configuration, states: States
) -> tuple[Changes, States]:
    """Swaps `running` for another configuration; `states` as it leaves them.

    Endpoints that were away and are back are from the first moment what an operator had made of them. Blocking. Raises
    `ConfigError`, `ListenError` or `OSError`.
    """
    added = set(configuration.addresses) - set(running.addresses)
    check_addresses(configuration, added, exclusive=False)
    states, back = under(states, configuration.document, time.time())
    changes = dataplane.apply(configuration.document, as_health(back))
    for pool, entries in back.items():
        shown = ", ".join(entries) if len(entries) <= NAMED else f"{len(entries):,}"
        log.info("endpoints back as they were set", pool=pool, endpoints=shown)
    return changes, states


def report_cleared(before: Splits, after: Splits) -> None:
    """Says in the log whose weights count again because the file has others now."""
    for route in before.by_route.keys() - after.by_route.keys():
        log.info("split cleared", route=route, reason="its own weights have changed")


def at_users_places(changes: Changes, configuration: Configuration) -> Changes:
    """The same, with warnings at the places that the user wrote: `pools.app`, not `pools[0]`."""
    problems = [configuration.document.problem(each.path, each.message) for each in changes.warnings]
    warnings = [DocumentWarning(path=each.path, message=each.message) for each in problems]
    return changes.model_copy(update={"warnings": warnings})


def report(configuration: Configuration, running: Configuration, changes: Changes) -> None:
    """Says in the log what a reload did, and what it could not do."""
    counts = {
        f"{noun}_{verb}": ", ".join(names)
        for noun in ("listeners", "pools", "routes")
        for verb, names in getattr(changes, noun)
        if names
    }
    if changes.process:
        counts["process_changed"] = ", ".join(changes.process)
    log.info("reloaded", generation=changes.generation, **counts)
    for problem in configuration.resolved.warnings:
        log.warning("configuration", problem=str(problem))
    for warning in changes.warnings:
        log.warning("configuration", problem=str(configuration.document.problem(warning.path, warning.message)))
    if configuration.resolved.workers != running.resolved.workers:
        log.warning(
            "workers unchanged",
            wanted=configuration.resolved.workers,
            used=running.resolved.workers,
            reason="the number of workers is fixed for the life of a process; run `evenly upgrade`",
        )
