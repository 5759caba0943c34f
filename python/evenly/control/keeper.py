"""Writes what outlives the process to `state_dir`; what could not be written is tried again until it could.

A disk that is full or read-only for a while must not undo what an operator has done, at a restart weeks later.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import structlog

from evenly.control.status import Keeping
from evenly.control.store import EDITS, FOUND, Kept, Store
from evenly.discovery.backoff import Backoff

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 10.0
"""Between attempts. Whoever has made room need not wait for long, and an attempt costs a few system calls."""

log = structlog.get_logger("evenly")


class Keeper:
    """Two files, each written as it is at that moment: of two attempts, the later never brings the older state."""

    def __init__(
        self, directory: Callable[[], Path | None], current: Callable[[], Kept], backoff: Backoff | None = None
    ) -> None:
        self._directory = directory
        self._current = current
        self._backoff = backoff or Backoff(FIRST_SECONDS, LONGEST_SECONDS)
        self._unsaved: dict[str, str] = {}
        """Why each file is not as it should be."""
        self._writing = asyncio.Lock()
        self._ending = asyncio.Event()
        self._left = False
        self._retrying: asyncio.Task[None] | None = None

    @property
    def keeping(self) -> Keeping:
        """Whether what was set at run time outlives the process."""
        unsaved = self._unsaved.get(EDITS, "")
        return Keeping(kept=self._directory() is not None and not unsaved, unsaved=unsaved)

    @property
    def unsaved(self) -> dict[str, bool]:
        """Of each file, whether it lacks something; nothing without a directory."""
        return {} if self._directory() is None else {name: name in self._unsaved for name in (EDITS, FOUND)}

    async def save_edits(self) -> Keeping:
        """Writes what was set at run time."""
        await self._save(EDITS)
        return self.keeping

    async def save_found(self) -> None:
        """Writes what discovery has found."""
        await self._save(FOUND)

    def still(self) -> AbstractAsyncContextManager[None]:
        """Nothing is being written inside the block."""
        return self._writing

    def leave(self) -> None:
        """Writes nothing any more: the files are a successor's."""
        self._left = True
        self._unsaved.clear()
        self._ending.set()

    async def close(self) -> None:
        """Tries what is missing for the last time."""
        self._ending.set()
        if self._retrying is not None:
            await self._retrying
        for name in list(self._unsaved):
            await self._save(name)
        for name, problem in self._unsaved.items():
            log.error("state not kept", file=name, problem=problem, result="it ends with the process")

    async def _save(self, name: str) -> None:
        async with self._writing:
            if self._left:
                return
            directory, current = self._directory(), self._current()
            store = Store(directory)
            try:
                if name == EDITS:
                    await asyncio.to_thread(store.save_edits, current)
                else:
                    await asyncio.to_thread(store.save_found, current.found)
            except OSError as error:
                self._failed(name, f"{directory}: {error.strerror or error}")
            else:
                if self._unsaved.pop(name, None) is not None:
                    log.info("state kept again", directory=str(directory), file=name)

    def _failed(self, name: str, problem: str) -> None:
        # Once for each reason: attempts go on for as long as it takes.
        if self._unsaved.get(name) != problem:
            log.error("state not kept", file=name, problem=problem, result="it is tried again, at the end as well")
        self._unsaved[name] = problem
        if not self._ending.is_set() and (self._retrying is None or self._retrying.done()):
            self._retrying = asyncio.create_task(self._retry())

    async def _retry(self) -> None:
        while self._unsaved:
            with suppress(TimeoutError):
                # Jitter, so that nodes that share a disk do not come back to it as one.
                await asyncio.wait_for(self._ending.wait(), self._backoff.failed(random.random()))  # noqa: S311
                return
            for name in list(self._unsaved):
                await self._save(name)
        self._backoff.succeeded()
