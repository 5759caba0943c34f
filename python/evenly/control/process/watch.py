"""Notices that configuration files changed, for `--watch`.

It polls stat(2): a handful of files twice a second costs nothing measurable, and unlike inotify it sees files that
are replaced through a symbolic link (as orchestrators do) and files on network mounts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

POLL_SECONDS = 0.5
"""Short enough to feel immediate after saving a file; also how long a file must stay as it is before it is read."""

Fingerprint = tuple[tuple[str, int, int, int], ...]


def fingerprint(files: Iterable[Path]) -> Fingerprint:
    """Name, inode, size and time of change (ns) of each file; a file that is not there counts as zeros."""
    found = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            found.append((str(file), 0, 0, 0))
        else:
            found.append((str(file), status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


class Debounce:
    """Decides when a change is complete: something differs from what was last read, and has stopped changing.

    Editors and copies write in several steps; reading between two of them would report errors nobody made.
    """

    def __init__(self, read: Fingerprint) -> None:
        self._read = read
        self._seen = read

    def changed(self, now: Fingerprint) -> bool:
        """Whether to read the files: true once for each change, at the first look that finds it unaltered."""
        settled = now == self._seen
        self._seen = now
        if settled and now != self._read:
            self._read = now
            return True
        return False


async def watch(files: Callable[[], Iterable[Path]], changed: Callable[[], None]) -> None:
    """Calls `changed` after each change, until cancelled. `files` is asked each time: a reload may alter the list."""
    watched = tuple(files())
    debounce = Debounce(await asyncio.to_thread(fingerprint, watched))
    while True:
        await asyncio.sleep(POLL_SECONDS)
        now = tuple(files())
        if now != watched:
            # The list came with a configuration that has just been read, so its files count as read.
            watched = now
            debounce = Debounce(await asyncio.to_thread(fingerprint, watched))
        elif debounce.changed(await asyncio.to_thread(fingerprint, watched)):
            changed()
