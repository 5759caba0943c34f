"""The challenge `dns-01`: records that a provider adds, and removes afterwards (RFC 8555, section 8.4).

A plug-in is a class that a package registers under the entry point `evenly.dns`:

    [project.entry-points."evenly.dns"]
    mydns = "mydns:Provider"

It is made with the configuration's `options` as keyword arguments, and is a `Provider`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, TypeVar

import structlog

from evenly.certificates.responder import Question, ResponderError
from evenly.certificates.threads import in_thread
from evenly.config.files import read_secret
from evenly.config.schema.dns_challenge import DnsChallenge, DnsPlugin, DynamicUpdate, ExecHook

GROUP = "evenly.dns"

T = TypeVar("T")

log = structlog.get_logger("evenly")


class Provider(Protocol):
    """Adds TXT records to the DNS, and removes them. Both may block; what they raise is told to the operator."""

    def add(self, name: str, value: str) -> None:
        """One more TXT record. There may be others of the same name, which stay: a wildcard and its parent share it."""

    def remove(self, name: str, value: str) -> None:
        """Removes what `add` has added; it is no error if it is gone."""


class DnsResponder:
    """Answers questions by the DNS; see `Responder`."""

    def __init__(self, options: DnsChallenge, directory: Path) -> None:
        self._options = options
        self._directory = directory

    @asynccontextmanager
    async def answering(self, questions: Sequence[Question]) -> AsyncIterator[None]:
        """As `Responder` says; the records stay until the block ends."""
        records = [(f"_acme-challenge.{each.host}", txt(each.answer)) for each in questions]
        provider = await _told("cannot be used", lambda: provider_for(self._options, self._directory))
        added: list[tuple[str, str]] = []
        try:
            for name, value in records:
                # Before it is known to be there: a call that fails half-way may have added it.
                added.append((name, value))
                await _told(f"did not add the record {name}", partial(provider.add, name, value))
            if records:
                await asyncio.sleep(self._options.wait.seconds)
            yield
        finally:
            for name, value in added:
                with suppress(ResponderError):
                    await _told(f"did not remove the record {name}", partial(provider.remove, name, value))


def txt(answer: str) -> str:
    """The record's value for a key authorization."""
    return base64.urlsafe_b64encode(hashlib.sha256(answer.encode()).digest()).decode().rstrip("=")


def provider_for(options: DnsChallenge, directory: Path) -> Provider:
    """The provider that the options ask for. Blocking. Raises whatever making it raises."""
    match options:
        case DynamicUpdate():
            from evenly.certificates.dynamic_update import DynamicUpdates

            return DynamicUpdates(options, read_secret(directory / options.key_file))
        case ExecHook():
            return _Program(options)
        case DnsPlugin():
            found = entry_points(group=GROUP)
            if options.name not in found.names:
                known = ", ".join(sorted(found.names)) or "none at all"
                raise ValueError(f"no installed package offers {options.name!r} under {GROUP}; there is {known}")
            made: Provider = found[options.name].load()(**options.options)
            return made


async def _told(what: str, work: Callable[[], T]) -> T:
    """Blocking work of a provider, whose every error becomes a `ResponderError`: plug-ins may raise anything."""
    try:
        return await in_thread(work)
    except Exception as error:
        problem = f"the DNS provider {what}: {getattr(error, 'strerror', None) or str(error) or type(error).__name__}"
        log.warning("dns record", problem=problem)
        raise ResponderError(problem) from error


class _Program:
    """As `ExecHook` says."""

    def __init__(self, options: ExecHook) -> None:
        self._options = options

    def add(self, name: str, value: str) -> None:
        self._run("add", name, value)

    def remove(self, name: str, value: str) -> None:
        self._run("remove", name, value)

    def _run(self, *arguments: str) -> None:
        command = [*self._options.command, *arguments]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=self._options.timeout.seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{command[0]} took longer than {self._options.timeout}") from None
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise ChildProcessError(f"{command[0]} ended with {done.returncode}" + (f": {said[0]}" if said else ""))
