"""The process's limit of open descriptors, which bounds how many connections it may hold."""

from __future__ import annotations

import resource

import structlog

from evenly.config import Resolved

log = structlog.get_logger("evenly")


def raise_limit() -> int:
    """Raises the soft limit to the hard one and returns it; call it before the configuration is resolved.

    The soft limit is 1,024 on most systems, kept there for programs that use select(2); Evenly has none.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def report_lowered(resolved: Resolved) -> None:
    """Says in the log when `max_connections` was cut to fit the limit: who finds clients waiting looks for it there."""
    wanted = resolved.settings.max_connections
    if resolved.max_connections < wanted:
        log.info(
            "max_connections lowered",
            wanted=wanted,
            used=resolved.max_connections,
            reason="two descriptors each, within the limit (`ulimit -n`, LimitNOFILE=)",
        )
