"""Opens the admin API's listening socket, a Unix one or a TCP one."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path

from evenly.control.admin import AdminError

BACKLOG = 64
"""A few operators and scrapers ask; more at once would be a mistake somewhere."""


def open_unix(path: Path) -> socket.socket:
    """Listens on a Unix socket that only this user may connect to.

    It is bound under a temporary name, restricted, and renamed: at no moment can others connect, and a socket that a
    dead process left is replaced without a gap. A live one is not touched.
    """
    if _alive(path):
        raise AdminError(
            f"another process answers on {path}: is Evenly running already? "
            "give this one a path of its own with --admin or [admin] bind"
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        # Whoever owns the folder can put a socket of his own in this one's place.
        if path.parent.stat().st_uid not in (0, os.geteuid()):
            raise PermissionError(errno.EPERM, "the folder belongs to another user")
        listening.bind(str(temporary))
        temporary.chmod(stat.S_IRUSR | stat.S_IWUSR)
        listening.listen(BACKLOG)
        listening.setblocking(False)
        temporary.replace(path)
    except OSError as error:
        listening.close()
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise AdminError(f"cannot open the admin socket {path}: {error.strerror or error}") from error
    return listening


def open_tcp(host: str, port: int) -> socket.socket:
    """Listens on a TCP address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise AdminError(f"cannot open the admin address {host}:{port}: {error.strerror or error}") from error
    return listening


def _alive(path: Path) -> bool:
    """Whether somebody answers on a Unix socket. A file that is no socket counts: it must not be replaced."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise AdminError(f"{path} is there and is not a socket")
    except OSError:
        # Not there, or not to be reached: opening it will say.
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError as error:
            # Refused: nobody listens. Anything else (full queue, not permitted) means that somebody does.
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    return True
