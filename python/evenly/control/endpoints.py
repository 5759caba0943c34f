"""Runs the sources of all pools, and says when what they found has changed.

Changes are gathered for a moment and applied together: a deployment that replaces a hundred containers is one change
of the running configuration, not a hundred.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from evenly.config import Settings
from evenly.config.found import Found
from evenly.config.schema import Discovery
from evenly.control.status import DiscoveryState, DiscoveryStatus
from evenly.discovery.bounds import take
from evenly.discovery.source import Place, SourceError
from evenly.discovery.sources import source_for
from evenly.discovery.watcher import Known, Watcher

GATHER_SECONDS = 0.1
"""Between the first change and applying it. Nobody notices a tenth of a second; sources that change in volleys do."""

REST = 4
"""Times as long as applying took, the next one waits at least: large configurations take a while to write, and at most
a fifth of the control plane's time goes into following sources."""

FIRST_ANSWER_SECONDS = 3.0
"""How long a start or a reload waits for sources that are new to it: a pool without endpoints answers 503."""

log = structlog.get_logger("evenly")


@dataclass(frozen=True)
class Followed:
    """One pool's source, as it is watched."""

    watcher: Watcher
    place: Place
    task: asyncio.Task[None]


class Endpoints:
    """What discovery knows of every pool.

    A configuration's sources are asked before it is applied (`prepare`), so that it has its endpoints from the first
    moment; then it is followed (`follow`), or given up (`discard`).
    """

    def __init__(self) -> None:
        self._followed: dict[str, Followed] = {}
        self._changed = asyncio.Event()

    @property
    def known(self) -> dict[str, Known]:
        """The last good endpoints of each pool that has a source."""
        return known_of(self._followed)

    @property
    def watchers(self) -> list[Watcher]:
        """Every source that is watched."""
        return [each.watcher for each in self._followed.values()]

    async def prepare(
        self, settings: Settings, directory: Path, known: Mapping[str, Known], *, hurry: bool = False
    ) -> dict[str, Followed]:
        """Watches the sources of these settings, besides those that are; waits for the first answers of new ones.

        What is `known` of a pool stands in until its source has answered. `hurry`: where something is known, that will
        do, and nobody waits. A source that is watched already goes on undisturbed.
        """
        prepared: dict[str, Followed] = {}
        for pool, options in ((name, pool.discovery) for name, pool in settings.pools.items()):
            if options is None:
                continue
            running = self._followed.get(pool)
            if running is not None and (running.watcher.options, running.place.directory) == (options, directory):
                prepared[pool] = running
            else:
                prepared[pool] = self._watch(options, Place(pool, directory), known.get(pool))
        await _first_answers([each for pool, each in prepared.items() if each is not self._followed.get(pool)], hurry)
        return prepared

    def follow(self, prepared: dict[str, Followed]) -> None:
        """Goes on with these sources, and no others."""
        self._followed, before = prepared, self._followed
        for pool, each in before.items():
            if each is not prepared.get(pool):
                each.task.cancel()

    def discard(self, prepared: dict[str, Followed]) -> None:
        """Asks no source any more that is not followed anyway."""
        for pool, each in prepared.items():
            if each is not self._followed.get(pool):
                each.task.cancel()

    async def apply_changes(self, apply: Callable[[], Awaitable[None]]) -> None:
        """Calls `apply` after each volley of changes, until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._changed.clear()
            began = time.monotonic()
            try:
                await apply()
            except Exception:
                # A mistake of ours in one change must not be the end of following all others.
                log.exception("endpoints not applied")
            await asyncio.sleep((time.monotonic() - began) * REST)

    def status(self, pool: str) -> DiscoveryStatus | None:
        """How it is going with a pool's source; `None` if it has none."""
        if pool not in self._followed:
            return None
        watcher = self._followed[pool].watcher
        standing, known = watcher.standing, watcher.standing.known
        return DiscoveryStatus(
            source=watcher.source.name,
            state=_state(watcher),
            endpoints=0 if known is None else len(known.endpoints),
            answered=0.0 if known is None else known.answered,
            changed=standing.changed,
            error=standing.error,
            failing_since=standing.failing_since,
            left_out=standing.left_out,
        )

    async def close(self) -> None:
        """Asks no source any more."""
        tasks = [each.task for each in self._followed.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _watch(self, options: Discovery, place: Place, known: Known | None) -> Followed:
        watcher = Watcher(place.pool, options, source_for(options, place), _bounded(known, options), self._changed.set)
        return Followed(watcher, place, asyncio.create_task(watcher.run()))


def known_of(followed: Mapping[str, Followed]) -> dict[str, Known]:
    """The last good endpoints by pool."""
    found = {pool: each.watcher.standing.known for pool, each in followed.items()}
    return {pool: known for pool, known in found.items() if known is not None}


def found_of(known: Mapping[str, Known]) -> Found:
    """The same, as a configuration takes it."""
    return {pool: each.endpoints for pool, each in known.items()}


def _bounded(known: Known | None, options: Discovery) -> Known | None:
    """What is known, within the bounds of the options as they are now: they may be others than when it was found."""
    if known is None:
        return None
    try:
        return replace(known, endpoints=take(known.endpoints, options).endpoints)
    except SourceError:
        # A file in `state_dir` that somebody has written by hand.
        return None


async def _first_answers(new: list[Followed], hurry: bool) -> None:
    waited_for = [each.watcher for each in new if not (hurry and each.watcher.standing.known)]
    if not waited_for:
        return
    waits = [asyncio.create_task(watcher.judged.wait()) for watcher in waited_for]
    try:
        await asyncio.wait(waits, timeout=FIRST_ANSWER_SECONDS)
    finally:
        for wait in waits:
            wait.cancel()
    for watcher in waited_for:
        if watcher.standing.known is None:
            problem = watcher.standing.error or f"no answer within {FIRST_ANSWER_SECONDS:g} s"
            log.warning("no endpoints yet", pool=watcher.pool, source=watcher.source.name, problem=problem)


def _state(watcher: Watcher) -> DiscoveryState:
    if watcher.standing.error:
        return DiscoveryState.FAILING
    return DiscoveryState.ANSWERING if watcher.standing.answers else DiscoveryState.WAITING
