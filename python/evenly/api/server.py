"""The admin API's server: opens its socket at once, and answers on it as soon as FastAPI is imported.

Between the two, connections wait in the socket's queue, so nobody sees a refusal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from evenly.api.guard import Guard
from evenly.api.sockets import open_tcp, open_unix
from evenly.config.resolve import ResolvedAdmin

if TYPE_CHECKING:
    import uvicorn

    from evenly.control.supervisor import Supervisor

CLOSE_SECONDS = 3
"""How long closing waits for answers under way. They are short; a scraper that stalls must not hold up the end."""


class AdminServer:
    """One listening socket and the API on it. `open` it, `start` it, `close` it."""

    def __init__(self, settings: ResolvedAdmin, listening: socket.socket, *, inherited: bool) -> None:
        self.address = str(settings.bind)
        self._settings = settings
        self._listening = listening
        self._inherited = inherited
        self._is_tcp = settings.bind.port is not None
        self._file = None if self._is_tcp else _identity(self.address)
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, settings: ResolvedAdmin, inherited: tuple[str, int] | None = None) -> AdminServer:
        """Listens, on a predecessor's socket if it is for the same address. Raises `AdminError`."""
        bind = settings.bind
        if inherited is not None and inherited[0] == str(bind):
            return cls(settings, socket.socket(fileno=inherited[1]), inherited=True)
        if inherited is not None:
            os.close(inherited[1])
        listening = open_unix(Path(bind.place)) if bind.port is None else open_tcp(bind.place, bind.port)
        return cls(settings, listening, inherited=False)

    def descriptor(self) -> int:
        """A duplicate of the listening socket's descriptor, for a successor; the caller closes it."""
        return os.dup(self._listening.fileno())

    async def start(self, supervisor: Supervisor) -> None:
        """Imports the API, which takes a while and happens in a thread, and answers from then on."""
        await asyncio.to_thread(import_module, "evenly.api.app")
        from evenly.api.app import create, server_for

        app = create(supervisor)
        self._server = server_for(Guard(app, self._settings.token) if self._is_tcp else app, CLOSE_SECONDS)
        self._serving = asyncio.create_task(self._server.serve([self._listening]), name="admin api")

    def abandon(self) -> None:
        """Closes a server that was never started; a predecessor goes on with what was its own."""
        self._leave(remove_file=not self._inherited)

    def retire(self) -> None:
        """Takes no more requests, which are a successor's from now on; those under way are answered."""
        if self._server is not None:
            for each in self._server.servers:
                each.close()
            for connection in list(self._server.server_state.connections):
                connection.shutdown()

    async def close(self, *, handed_over: bool) -> None:
        """Stops answering after what is under way; removes the socket's file unless somebody else listens on it."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
        self._leave(remove_file=not handed_over)

    def _leave(self, *, remove_file: bool) -> None:
        self._listening.close()
        if remove_file and self._file is not None and self._file == _identity(self.address):
            with contextlib.suppress(FileNotFoundError):
                Path(self.address).unlink()


def _identity(path: str) -> tuple[int, int] | None:
    """Device and inode of a path, to know later whether it is still the same file; `None` if there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
