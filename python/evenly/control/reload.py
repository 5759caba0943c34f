"""A reload: read, check, resolve, build, swap. Whatever fails, the running configuration stays."""

from __future__ import annotations

import structlog

from evenly.control.binding import check_addresses
from evenly.control.dataplane import Dataplane
from evenly.control.origin import Configuration
from evenly.control.status import Changes

log = structlog.get_logger("evenly")


def apply(configuration: Configuration, dataplane: Dataplane, running: Configuration) -> Changes:
    """Swaps `running` for another configuration. Blocking. Raises `ConfigError`, `ListenError` or `OSError`."""
    added = set(configuration.addresses) - set(running.addresses)
    check_addresses(configuration, added, exclusive=False)
    return dataplane.apply(configuration.document)


def report(configuration: Configuration, running: Configuration, changes: Changes) -> None:
    """Says in the log what a reload did, and what it could not do."""
    counts = {
        f"{noun}_{verb}": ", ".join(names)
        for noun in ("listeners", "pools", "routes")
        for verb, names in getattr(changes, noun)
        if names
    }
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
