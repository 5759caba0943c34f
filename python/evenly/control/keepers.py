"""Keepers of the certificates that the running configuration wants over ACME, and what they need of the process.

A keeper never touches the running configuration itself. It asks for two changes: that questions of issuers are answered
for a while, and that certificates of the store be shown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from evenly.certificates.clock import Clock, SystemClock
from evenly.certificates.dns import DnsResponder
from evenly.certificates.issuing import ask_window, issue, revoke, roll_over
from evenly.certificates.keeper import OUTCOMES, Keeper
from evenly.certificates.records import Issued
from evenly.certificates.renewal import Window
from evenly.certificates.revoking import Revocation, Revoker
from evenly.certificates.store import Store
from evenly.certificates.wanted import Wanted, WantedIssuer, store_of, wanted
from evenly.config import Loaded
from evenly.config.front_routes import Answers
from evenly.control.answering import Answering
from evenly.control.editing import UnknownNameError
from evenly.control.status import AccountStatus, RenewalStatus, RevocationStatus

AT_ONCE = 4
"""Certificates that are asked for at the same time: a file with hundreds must not keep the control plane busy with
nothing else, nor look like an attack to the issuer."""


log = structlog.get_logger("evenly")


@dataclass(frozen=True)
class Kept:
    """One certificate: who renews it, and who has it revoked."""

    keeper: Keeper
    revoker: Revoker
    store: Store

    async def run(self, before: asyncio.Task[None] | None = None) -> None:
        """Until cancelled; after `before`, which holds the lock until it has ended."""
        if before is not None:
            await asyncio.wait([before])
        await asyncio.gather(self.keeper.run(), self.revoker.run())

    def status(self) -> RenewalStatus:
        """How it is going."""
        return _renewal_status(self.keeper).model_copy(update={"revocation": _revocation_status(self.revoker)})


class Keepers:
    """Everything that is kept. `publish` answers questions from now on; `installed` shows what the store has."""

    def __init__(
        self,
        publish: Callable[[Answers], Awaitable[None]],
        installed: Callable[[], Awaitable[None]],
        clock: Clock | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._installed = installed
        self._clock = clock or SystemClock()
        self._draw = draw
        self._kept: dict[str, tuple[Kept, asyncio.Task[None]]] = {}
        self.answering = Answering(publish)
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._rolling = asyncio.Lock()

    def follow(self, loaded: Loaded) -> None:
        """Keeps the certificates of this configuration, and no others; what did not change goes on undisturbed."""
        before, self._kept = self._kept, {}
        store = store_of(loaded)
        for name, each in wanted(loaded).items():
            # The schema wants one wherever a certificate is wanted.
            assert store is not None  # noqa: S101
            running, task = before.get(name, (None, None))
            if running is not None and running.keeper.wanted == each and running.store == store:
                self._kept[name] = before.pop(name)
            else:
                kept = self.kept(each, store, self._installed)
                self._kept[name] = kept, asyncio.create_task(kept.run(task))
        for name, (left, task) in before.items():
            task.cancel()
            pending = left.revoker.standing.pending
            if pending is not None and name not in self._kept:
                problem = "it is not in the configuration any more: it waits in the store until it is"
                log.warning("certificate not revoked", certificate=name, serial=pending.serial, problem=problem)

    def status(self, name: str) -> RenewalStatus | None:
        """How it is going with a certificate; `None` if it is none of ours."""
        return self._kept[name][0].status() if name in self._kept else None

    async def renew(self, name: str, *, dry_run: bool) -> None:
        """Renews now. Raises `UnknownNameError`, and if it fails `IssueError`, `BusyError` or `StoreError`."""
        if name not in self._kept:
            raise UnknownNameError("certificate with acme", name, sorted(self._kept))
        await self._kept[name][0].keeper.renew(dry_run=dry_run)

    async def revoke(self, name: str, reason: int) -> None:
        """Has a certificate revoked once there is another in its place, or finishes what an earlier call has begun.
        Raises as `renew`."""
        if name not in self._kept or self._kept[name][0].keeper.standing.issued is None:
            issued = (each for each, (kept, _) in self._kept.items() if kept.keeper.standing.issued is not None)
            raise UnknownNameError("certificate that was issued over ACME", name, sorted(issued))
        await self._kept[name][0].revoker.revoke(reason)

    async def roll_over(self, name: str) -> AccountStatus:
        """Gives the account with an issuer another key. Raises `UnknownNameError`, `IssueError` and `StoreError`."""
        kept = [each for each, _ in self._kept.values()]
        issuers = {issuer.name: (issuer, each.store) for each in kept for issuer in each.keeper.wanted.issuers}
        if name not in issuers:
            raise UnknownNameError("issuer of a certificate with acme", name, sorted(issuers))
        issuer, store = issuers[name]
        # Alone: who is in the middle of an order goes on under the old key. One after the other, or two would wait for
        # each other's places.
        async with self._rolling, AsyncExitStack() as places:
            for _ in range(AT_ONCE):
                await places.enter_async_context(self._at_once)
            url, thumbprint = await roll_over(issuer, store)
        log.info("account key changed", issuer=name, account=url, thumbprint=thumbprint)
        return AccountStatus(issuer=name, url=url, thumbprint=thumbprint)

    async def close(self) -> None:
        """Keeps nothing any more."""
        tasks = [task for _, task in self._kept.values()]
        self._kept = {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def kept(
        self,
        wanted: Wanted,
        store: Store,
        installed: Callable[[], Awaitable[None]],
        permit: Callable[[], Awaitable[None]] | None = None,
    ) -> Kept:
        """One certificate, to be `run`. `installed` shows what the store has; `permit` is awaited before each order,
        and raises `IssueError` if there must be none."""

        async def get(wanted: Wanted, issuer: WantedIssuer, *, before: Issued | None, dry_run: bool) -> Issued | None:
            responder = self.answering if wanted.dns is None else DnsResponder(wanted.dns, wanted.base)
            if permit is not None:
                await permit()
            async with self._at_once:
                return await issue(wanted, issuer, store, responder, before=before, dry_run=dry_run)

        async def window(issued: Issued, issuer: WantedIssuer) -> tuple[Window | None, float]:
            async with self._at_once:
                return await ask_window(issued, issuer, store)

        async def undo(pending: Revocation, issuer: WantedIssuer) -> None:
            async with self._at_once:
                await revoke(pending.leaf, issuer, store, pending.reason)

        async def shown() -> None:
            await installed()
            revoker.wake()

        keeper = Keeper(wanted, store, get, window, shown, self._clock, self._draw)
        revoker = Revoker(keeper, store, undo, self._clock, self._draw)
        return Kept(keeper, revoker, store)


def _renewal_status(keeper: Keeper) -> RenewalStatus:
    """How it is going with one certificate."""
    standing = keeper.standing
    return RenewalStatus(
        issuer=None if standing.issued is None else standing.issued.issuer,
        issuers=[issuer.name for issuer in keeper.wanted.issuers],
        challenge=keeper.wanted.challenge,
        renewing=standing.is_renewing,
        next_try=None if standing.next_try is None else standing.next_try.timestamp(),
        why=standing.why,
        error=standing.error,
        failures=standing.failures,
        outcomes={
            issuer: {outcome: standing.outcomes[issuer, outcome] for outcome in OUTCOMES}
            for issuer in dict.fromkeys(issuer for issuer, _ in standing.outcomes)
        },
        revocation=None,
    )


def _revocation_status(revoker: Revoker) -> RevocationStatus | None:
    standing = revoker.standing
    if standing.pending is None and not standing.error:
        return None
    return RevocationStatus(
        serial=None if standing.pending is None else standing.pending.serial,
        issuer=None if standing.pending is None else standing.pending.issuer,
        next_try=None if standing.next_try is None else standing.next_try.timestamp(),
        error=standing.error,
        failures=standing.failures,
    )
