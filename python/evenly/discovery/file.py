"""Endpoints from a file that something else writes; read when it has changed.

It is polled by stat(2), as the configuration is with `--watch`: that sees files which are replaced through a symbolic
link (as orchestrators do) and files on network mounts.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path

from evenly.config.files import open_file
from evenly.config.schema import FileDiscovery
from evenly.discovery.listing import LARGEST_ANSWER, parse
from evenly.discovery.source import Place, Report, SourceError

Identity = tuple[int, int, int]
"""Inode, size, and time of change (ns)."""


@dataclass
class FileSource:
    """One file."""

    options: FileDiscovery
    place: Place
    _read: Identity | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        """What is asked."""
        return f"file {self.options.path}"

    async def watch(self, report: Report) -> None:
        """Reports what it says whenever it has changed, and once in the beginning; a half-written one is a failure."""
        self._read = None
        path = self.place.directory / self.options.path
        while True:
            identity, raw = await asyncio.to_thread(self._look, path)
            if raw is not None:
                report(parse(raw, path.suffix.removeprefix("."), self.options.weight))
                self._read = identity
            await asyncio.sleep(self.options.interval.seconds)

    def _look(self, path: Path) -> tuple[Identity, bytes | None]:
        """Its identity, and its content unless that has been read already. Raises `SourceError`."""
        try:
            with open_file(path) as file:
                # Of what was opened: a path may name another file by now, which the next look is to find new.
                status = os.fstat(file.fileno())
                identity = (status.st_ino, status.st_size, status.st_mtime_ns)
                if identity == self._read:
                    return identity, None
                raw = file.read(LARGEST_ANSWER + 1)
        except PermissionError as error:
            raise SourceError("denied", f"permission to read {path} is missing") from error
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise SourceError("unreachable", f"{path} cannot be read: {reason}") from error
        if len(raw) > LARGEST_ANSWER:
            raise SourceError("invalid", f"{path} is larger than {LARGEST_ANSWER >> 20} MiB")
        return identity, raw
