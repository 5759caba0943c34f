"""Where accounts, keys and certificates are kept. One protocol, so that nodes can share a store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

LOOK_SECONDS = 0.1
"""Between two looks at a lock that somebody has; whoever has it is waiting for a network."""


class StoreError(Exception):
    """A store that cannot be read or written; the text says which, and why."""


class Store(Protocol):
    """Small texts by name: `certificates/site`, `accounts/…`. All calls block, and raise `StoreError`."""

    def read(self, name: str) -> str | None:
        """The text, or `None` if there is none."""

    def write(self, name: str, text: str) -> None:
        """Replaces it as a whole: who reads meanwhile gets the old one or the new one. On return it is safe."""

    def remove(self, name: str) -> None:
        """Has none of that name any more, as if none had been written. On return that is safe."""

    def locked(self, name: str) -> AbstractContextManager[bool]:
        """Keeps everybody else who asks for the same lock out, on every node; false if somebody has it already."""


@contextlib.contextmanager
def locked_within(store: Store, name: str, seconds: float) -> Iterator[bool]:
    """As `Store.locked`, but waits so long for whoever has it; false if that was not enough. Blocking."""
    ends = time.monotonic() + seconds
    while True:
        with store.locked(name) as is_ours:
            if is_ours or time.monotonic() >= ends:
                yield is_ours
                return
        # In a thread of its own, which may wait: a store that nodes share tells nobody when a lock is free again.
        time.sleep(LOOK_SECONDS)
