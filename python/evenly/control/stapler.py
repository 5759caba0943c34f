"""Has issuers asked whether the certificates that listeners show are revoked, and their answers shown in handshakes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import structlog
from cryptography import x509

from evenly.certificates.clock import SystemClock
from evenly.certificates.directory import DirectoryStore
from evenly.certificates.ocsp import Answer, OcspError, Subject, subject_of
from evenly.certificates.responses import ask
from evenly.certificates.stapling import Standing, Stapling
from evenly.config import ConfigError, Resolved
from evenly.config.certificate_files import must_staple
from evenly.config.front_routes import Demanded
from evenly.config.schema import UdpListener
from evenly.control.status import StapleStatus

AT_ONCE = 4
"""Questions at the same time: a file with hundreds of certificates must not look like an attack to the issuer."""

log = structlog.get_logger("evenly")


@dataclass(frozen=True)
class _Asked:
    """A certificate that is asked about; without a task it cannot be, and `standing` says why."""

    must_staple: bool
    standing: Standing
    task: asyncio.Task[None] | None = None


class Stapler:
    """All of them. `publish` has these answers shown from now on, by chain."""

    def __init__(self, publish: Callable[[Mapping[str, Answer]], Awaitable[None]]) -> None:
        self._publish = publish
        self._asked: dict[tuple[str, str], _Asked] = {}
        """By name and chain."""
        self._named: dict[str, _Asked] = {}
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._changed = asyncio.Event()
        self._publishing: asyncio.Task[None] | None = None

    def follow(self, resolved: Resolved, demanded: Demanded) -> None:
        """Asks about the certificates of this configuration, those on demand among them, and no others; what did not
        change goes on undisturbed."""
        before, self._asked = self._asked, {}
        for name, chain in _shown(resolved, demanded):
            asked = before.pop((name, chain), None) or self._ask(name, chain, resolved)
            if asked is not None:
                self._asked[name, chain] = asked
        self._named = {name: each for (name, _), each in self._asked.items()}
        for left in before.values():
            if left.task is not None:
                left.task.cancel()
        if self._asked and self._publishing is None:
            self._publishing = asyncio.create_task(self._publish_changes())

    def status(self, name: str) -> StapleStatus | None:
        """How it is going with a certificate; `None` if its issuer answers no such questions."""
        if (asked := self._named.get(name)) is None:
            return None
        standing = asked.standing
        good_or_unknown: Literal["good", "unknown"] = "unknown" if standing.answer is None else "good"
        return StapleStatus(
            state="revoked" if standing.is_revoked else good_or_unknown,
            until=None if standing.answer is None else standing.answer.ends.timestamp(),
            next_try=None if standing.next_try is None else standing.next_try.timestamp(),
            error=standing.error,
            failures=standing.failures,
            required=asked.must_staple,
        )

    async def close(self) -> None:
        """Asks no more."""
        tasks = [each.task for each in self._asked.values()]
        self._asked = {}
        running = [task for task in (*tasks, self._publishing) if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ask(self, name: str, chain: str, resolved: Resolved) -> _Asked | None:
        try:
            subject = subject_of(chain)
        except OcspError as error:
            log.warning("revocation status unknown", certificate=name, problem=str(error), result="no answer is shown")
            leaf = x509.load_pem_x509_certificate(chain.encode())
            return _Asked(must_staple(leaf), Standing(error=str(error)))
        if subject is None:
            return None
        directory = resolved.state_directory
        store = None if directory is None else DirectoryStore(directory)
        stapling = Stapling(name, subject, self._ask_in_turn, store, self._changed.set, SystemClock(), random.random)
        return _Asked(must_staple(subject.leaf), stapling.standing, asyncio.create_task(stapling.run()))

    async def _ask_in_turn(self, subject: Subject) -> bytes:
        async with self._at_once:
            return await ask(subject)

    async def _publish_changes(self) -> None:
        """One after the other, so that many answers at once are one change."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            good = {chain: each.standing.answer for (_, chain), each in self._asked.items()}
            try:
                await self._publish({chain: answer for chain, answer in good.items() if answer is not None})
            except (ConfigError, OSError) as error:
                log.error("revocation status not shown", problem=str(error))  # noqa: TRY400 - its text is the reason


def _shown(resolved: Resolved, demanded: Demanded) -> Iterator[tuple[str, str]]:
    """The names and chains of certificates that clients are shown, and that are to be stapled."""
    streams = (each for each in resolved.settings.listeners.values() if not isinstance(each, UdpListener))
    for name in sorted({name for each in streams if each.tls is not None for name in each.tls.certificates}):
        if not resolved.settings.certificates[name].ocsp_stapling:
            continue
        if resolved.certificates[name].origin in {"files", "acme"}:
            yield name, resolved.certificates[name].chain
        for host, pem in demanded.get(name, {}).items():
            yield f"{name}/{host}", pem.chain
