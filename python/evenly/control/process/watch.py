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


async def watch(read: Callable[[], Fingerprint], changed: Callable[[], None]) -> None:
    """Calls `changed` after each change, until cancelled.

    `read` gives the fingerprint of what the running configuration was read from, taken before it was read: a change
    that comes while the process starts or reloads is then seen as one. It is asked each time, as a reload may alter it.
    """
    basis = read()
    debounce = Debounce(basis)
    while True:
        await asyncio.sleep(POLL_SECONDS)
        if read() != basis:
            basis = read()
            debounce = Debounce(basis)
        files = [Path(name) for name, *_ in basis]
        if debounce.changed(await asyncio.to_thread(fingerprint, files)):
            changed()
