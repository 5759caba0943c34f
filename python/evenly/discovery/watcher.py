"""Watches one pool's source: the last good endpoints stay while it fails, and it is asked again until it answers."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from evenly.config.schema import Discovery, Endpoint
from evenly.discovery.backoff import Backoff
from evenly.discovery.bounds import Taken, take
from evenly.discovery.source import Reason, Source, SourceError, Unusable

NAMED = 5
"""Addresses that a log line names; of more it says how many."""

log = structlog.get_logger("evenly")


@dataclass(frozen=True, slots=True)
class Known:
    """Endpoints that were good when they were found."""

    endpoints: tuple[Endpoint, ...]
    answered: float
    """When the source last said so, in unix seconds."""


@dataclass(slots=True)
class Standing:
    """How it is going with a source; what an operator is shown."""

    known: Known | None = None
    changed: float = 0.0
    """When the endpoints last changed, in unix seconds; 0 if they have not since the process started."""
    error: str = ""
    """Why the source gives no answer now; empty if it does."""
    failing_since: float = 0.0
    answers: int = 0
    changes: int = 0
    failures: Counter[Reason] = field(default_factory=Counter)
    outside: int = 0
    """Endpoints of the last answer that were left out because traffic cannot or may not go there."""
    beyond: int = 0
    """Endpoints of the last answer that were left out because there were too many."""
    unusable: Unusable = field(default_factory=Unusable)
    """Entries of the last answer that were left out because they make no sense."""

    @property
    def left_out(self) -> int:
        """All that was left out of the last answer."""
        return self.outside + self.beyond + self.unusable.count


class Watcher:
    """One pool and its source. `run` it; it calls `changed` whenever the endpoints are others than before."""

    def __init__(
        self, pool: str, options: Discovery, source: Source, known: Known | None, changed: Callable[[], None]
    ) -> None:
        self.pool = pool
        self.options = options
        self.source = source
        self.standing = Standing(known)
        self.judged = asyncio.Event()
        """Set once the source has answered or failed for the first time."""
        self._changed = changed
        self._backoff = Backoff(options.retry_min.seconds, options.retry_max.seconds)

    async def run(self) -> None:
        """Asks until cancelled."""
        while True:
            try:
                await self.source.watch(self._answered)
            except SourceError as error:
                self._failed(error.reason, str(error))
            except Exception as error:
                # A mistake of ours in one source must not end the others, nor the endpoints that are there.
                log.exception("discovery broke", pool=self.pool, source=self.source.name)
                self._failed("internal", repr(error))
            await asyncio.sleep(self._backoff.failed(random.random()))  # noqa: S311 - it spreads load, it hides nothing

    def _answered(self, answer: Sequence[Endpoint], unusable: Unusable | None = None) -> None:
        taken = take(answer, self.options)
        self._note_left_out(taken, unusable or Unusable())
        if not taken.endpoints and self.options.when_empty == "keep":
            left_out = f"; {taken.outside:,} outside of `networks`, unspecified or multicast" if taken.outside else ""
            left_out += f"; {unusable.count:,} unusable" if unusable and unusable.count else ""
            raise SourceError("empty", f"the answer has no endpoints{left_out}")
        standing, before = self.standing, self.standing.known
        self._backoff.succeeded()
        if standing.error:
            seconds = round(time.time() - standing.failing_since, 1)
            log.info("discovery recovered", pool=self.pool, source=self.source.name, after_seconds=seconds)
        standing.error, standing.failing_since = "", 0.0
        standing.answers += 1
        standing.known = Known(taken.endpoints, time.time())
        if before is None or before.endpoints != taken.endpoints:
            standing.changes += 1
            standing.changed = standing.known.answered
            self._log_change(before, taken.endpoints)
            self._changed()
        self.judged.set()

    def _failed(self, reason: Reason, text: str) -> None:
        standing = self.standing
        standing.failures[reason] += 1
        # Once, and again when the reason is another: a source that is down for a day is asked some thousand times.
        if standing.error != text:
            kept = None if standing.known is None else len(standing.known.endpoints)
            log.warning(
                "discovery failed", pool=self.pool, source=self.source.name, reason=reason, problem=text, kept=kept
            )
        standing.failing_since = standing.failing_since or time.time()
        standing.error = text
        self.judged.set()

    def _note_left_out(self, taken: Taken, unusable: Unusable) -> None:
        standing, left_out = self.standing, (taken.outside, taken.beyond, unusable)
        before = (standing.outside, standing.beyond, standing.unusable)
        if (taken.outside or taken.beyond or unusable.count) and left_out != before:
            log.warning(
                "endpoints left out",
                pool=self.pool,
                source=self.source.name,
                outside=taken.outside,
                beyond=taken.beyond,
                max_endpoints=self.options.max_endpoints,
                unusable=unusable.count,
                problem=str(unusable),
            )
        standing.outside, standing.beyond, standing.unusable = left_out

    def _log_change(self, before: Known | None, endpoints: tuple[Endpoint, ...]) -> None:
        old = {str(each.address): each for each in before.endpoints} if before else {}
        new = {str(each.address): each for each in endpoints}
        log.info(
            "endpoints found",
            pool=self.pool,
            source=self.source.name,
            count=len(new),
            added=_named([address for address in new if address not in old]),
            removed=_named([address for address in old if address not in new]),
            changed=_named([address for address in new if address in old and old[address] != new[address]]),
        )


def _named(addresses: list[str]) -> str:
    return ", ".join(addresses) if len(addresses) <= NAMED else f"{len(addresses):,}"
