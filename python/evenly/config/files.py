"""Opens files that a configuration is, or names: regular ones only.

A FIFO, a socket or a terminal would make whoever reads it wait, perhaps for ever, and every later reload behind it.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

LARGEST_SECRET = 1 << 16
"""Bytes."""

_GIVEN = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")


def open_file(path: Path) -> BinaryIO:
    """Opens a regular file, through symbolic links, for reading. Raises `OSError`, and `ValueError` for a NUL."""
    # Before it is opened, as opening a device can do something; and after, as it may have been replaced meanwhile.
    _must_be_regular(path.stat())
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _must_be_regular(os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return open(descriptor, "rb")  # noqa: PTH123 - of a descriptor


def read_secret(path: Path) -> str:
    """The text of a key, without the white space around it. Raises `OSError`, and `ValueError` if it is no text."""
    with open_file(path) as file:
        content = file.read(LARGEST_SECRET + 1)
    if len(content) > LARGEST_SECRET:
        raise OSError(errno.EFBIG, f"larger than {LARGEST_SECRET:,} bytes")
    return content.decode().strip()


def is_given(name: str) -> bool:
    """Whether a path is a descriptor that this process was started with: `/dev/stdin`, or a shell's `<(…)`."""
    return name.startswith(_GIVEN)


def _must_be_regular(status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    raise OSError(errno.EINVAL, f"{kinds.get(stat.S_IFMT(status.st_mode), 'a device')}, not a file")
