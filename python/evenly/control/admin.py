"""What the supervisor needs of the admin API's server, so that it can run one without importing it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from evenly.config import ConfigError, Resolved
from evenly.config.acme_checks import acme_key_files
from evenly.config.problems import Place
from evenly.config.resolve import ResolvedAdmin

if TYPE_CHECKING:
    from evenly.control.supervisor import Supervisor


class AdminError(Exception):
    """The admin API's address cannot be opened; the text says why and what to do."""


class AdminServer(Protocol):
    """A server that listens, and answers once it is started."""

    @property
    def address(self) -> str:
        """Where it listens, as the configuration writes it."""

    def descriptor(self) -> int:
        """A duplicate of its listening descriptor, for a successor; the caller closes it."""

    async def start(self, supervisor: Supervisor) -> None:
        """Answers from then on, with what the supervisor says."""

    def abandon(self) -> None:
        """Closes a server that was never started, because the process cannot serve after all."""

    def retire(self) -> None:
        """Takes no more requests, which are a successor's from now on; those under way are answered."""

    async def close(self, *, handed_over: bool) -> None:
        """Stops listening; leaves the socket's file alone if it was handed over."""


class OpenAdmin(Protocol):
    """Opens a server; `inherited` is a predecessor's address and descriptor. Raises `AdminError`."""

    def __call__(self, settings: ResolvedAdmin, inherited: tuple[str, int] | None = None) -> AdminServer: ...


def check_secret_files(resolved: Resolved) -> None:
    """Raises `ConfigError` if others can read a secret: it would not keep anybody on this machine out."""
    source, settings = resolved.loaded.source, resolved.settings
    files: dict[Place, str | None] = {
        ("admin", "token_file"): settings.admin.token_file,
        ("affinity", "secret_file"): settings.affinity.secret_file,
        ("affinity", "previous_secret_file"): settings.affinity.previous_secret_file,
        ("session_tickets", "secret_file"): settings.session_tickets.secret_file,
        ("session_tickets", "previous_secret_file"): settings.session_tickets.previous_secret_file,
        **acme_key_files(settings),
        **{("certificates", name, "key"): each.key for name, each in settings.certificates.items() if each.files},
    }
    problems = []
    for place, name in files.items():
        path = source.directory / Path(name or "")
        if name is not None and stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXO:
            message = f"every user of this machine may use {path}; run `chmod o= {path}`"
            problems.append(source.problem(place, message))
    if problems:
        raise ConfigError(problems)
