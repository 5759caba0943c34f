"""The store that is a directory: a file for each text, for this user alone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evenly.certificates.store import StoreError

LARGEST_FILE = 1 << 20
"""Bytes. A long chain with its key takes ten thousand."""


@dataclass(frozen=True)
class DirectoryStore:
    """A directory, made when the first text is written. Names become paths in it."""

    directory: Path

    def read(self, name: str) -> str | None:
        """As `Store` says."""
        with _explained(f"{self.directory / name} cannot be read"):
            try:
                with self._path(name).open("rb") as file:
                    raw = file.read(LARGEST_FILE + 1)
            except (FileNotFoundError, NotADirectoryError):
                return None
            if len(raw) > LARGEST_FILE:
                raise StoreError(f"{self.directory / name} is larger than {LARGEST_FILE >> 20} MiB")
            return raw.decode()

    def write(self, name: str, text: str) -> None:
        """As `Store` says: a new file beside the old one, flushed, and renamed over it."""
        with _explained(f"{self.directory / name} cannot be written"):
            path = self._path(name)
            self._make(path.parent)
            # mkstemp makes it with mode 0600.
            descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            try:
                with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - of a descriptor
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                Path(beside).rename(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(beside).unlink()
                raise
            _flush_names(path.parent)

    def remove(self, name: str) -> None:
        """As `Store` says."""
        with _explained(f"{self.directory / name} cannot be removed"):
            path = self._path(name)
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return
            _flush_names(path.parent)

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[bool]:
        """As `Store` says, by flock(2), which ends with the process that holds it."""
        with contextlib.ExitStack() as held:
            with _explained(f"{self.directory} cannot be locked"):
                path = self._path(f"locks/{name.replace('/', '-')}")
                self._make(path.parent)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                held.callback(os.close, descriptor)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    is_ours = True
                except BlockingIOError:
                    is_ours = False
            yield is_ours

    def _path(self, name: str) -> Path:
        return self.directory.joinpath(*name.split("/")).with_name(name.rpartition("/")[2] + ".json")

    def _make(self, directory: Path) -> None:
        missing = [each for each in (directory, *directory.parents) if not each.exists()]
        for each in reversed(missing):
            # One by one: `parents=True` would make all but the last with the usual mode.
            each.mkdir(mode=0o700, exist_ok=True)


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{what}: {getattr(error, 'strerror', None) or error}") from error


def _flush_names(directory: Path) -> None:
    """The name must be on the disk as well, or a power cut brings the old file back."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
