"""A certificate that is to be revoked once another is in its place: kept in the store until its issuer has done it.

It is written down before anything else happens. What fails after that, or ends the process, is tried again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from cryptography import x509

from evenly.certificates import renewal
from evenly.certificates.clock import Clock
from evenly.certificates.issue_error import IssueError
from evenly.certificates.keeper import BusyError, Keeper
from evenly.certificates.store import Store, StoreError
from evenly.certificates.wanted import WantedIssuer

VERSION = 1
"""Of the texts' form. Another is not guessed at."""

LOOK = 3600.0
"""Seconds between two looks at the store at most: another process that shares it may have ended in the middle."""

START = timedelta(minutes=1)
"""Before what an earlier process has left is tried: certificates are read, and listeners open, by then."""

log = structlog.get_logger("evenly")


@dataclass(frozen=True)
class Revocation:
    """What is to be revoked, by whom, and why."""

    chain: str
    issuer: str
    """Its name in the configuration at that time."""
    directory: str
    reason: int
    """As RFC 5280, section 5.3.1, numbers them."""

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate itself. Raises `ValueError` if it is none."""
        return x509.load_pem_x509_certificate(self.chain.encode())

    @property
    def serial(self) -> str:
        """Its number, as issuers and browsers show it."""
        return f"{self.leaf.serial_number:x}"


Revoke = Callable[[Revocation, WantedIssuer], Awaitable[None]]
"""Has the issuer do it. Raises `IssueError` and `StoreError`."""


@dataclass(slots=True)
class Standing:
    """How it is going; what an operator is shown."""

    pending: Revocation | None = None
    next_try: datetime | None = None
    error: str = ""
    """Why the last try failed; empty if there was none yet."""
    failures: int = 0
    """In a row."""


class Revoker:
    """For the certificates of one keeper, one at a time. `run` it, and `wake` it when there is another in place."""

    def __init__(self, keeper: Keeper, store: Store, revoke: Revoke, clock: Clock, random: Callable[[], float]) -> None:
        self.standing = Standing()
        self._keeper = keeper
        self._store = store
        self._revoke = revoke
        self._clock = clock
        self._random = random
        self._name = keeper.wanted.name
        self._woken = asyncio.Event()
        self._trying = asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled: finishes what an earlier call, or process, has left."""
        while True:
            self._woken.clear()
            if self.standing.next_try is None:
                await self._look()
            now = self._clock.now()
            wait = LOOK if self.standing.next_try is None else (self.standing.next_try - now).total_seconds()
            if wait > 0:
                await self._clock.wait(self._woken, min(wait, LOOK))
            else:
                await self._again()

    def wake(self) -> None:
        """There is another certificate: what waits for that is tried now."""
        if self.standing.pending is not None:
            self.standing.next_try = self._clock.now()
            self._woken.set()

    async def revoke(self, reason: int) -> None:
        """Has the certificate revoked once there is another in its place, or finishes what an earlier call has begun.

        What fails is tried again. Raises `IssueError`, `BusyError` and `StoreError`.
        """
        async with self._trying:
            try:
                await self._try(reason)
            except (IssueError, BusyError, StoreError) as error:
                if self.standing.pending is None:
                    raise
                self._failed(str(error))
                raise type(error)(f"{error}; it is tried again by itself") from error

    async def _look(self) -> None:
        """Whether the store has one."""
        try:
            self.standing.pending = await asyncio.to_thread(_load, self._store, self._name)
        except StoreError as error:
            self._failed(str(error))
        else:
            if self.standing.pending is not None:
                self.standing.next_try = self._clock.now() + START

    async def _again(self) -> None:
        async with self._trying:
            if self.standing.next_try is None or self.standing.next_try > self._clock.now():
                # Somebody asked for it while it became due.
                return
            try:
                await self._try(None)
            except (IssueError, BusyError, StoreError) as error:
                self._failed(str(error))
            except Exception as error:
                # A mistake of ours must not be the end of trying.
                log.exception("certificate not revoked", certificate=self._name)
                self._failed(repr(error))

    async def _try(self, reason: int | None) -> None:
        """By hand if there is a reason."""
        with ExitStack() as held:
            if not await asyncio.to_thread(held.enter_context, self._store.locked(_stored(self._name))):
                raise BusyError("another process is revoking this certificate")
            pending = await self._kept()
            if reason is not None:
                pending = self._begun(reason) if pending is None else replace(pending, reason=reason)
                self._issuer(pending)
                await asyncio.to_thread(_save, self._store, self._name, pending)
            self.standing.pending = pending
            if pending is not None:
                await self._finish(pending, by_hand=reason is not None)
            self.standing = Standing()

    async def _kept(self) -> Revocation | None:
        """What the store has: another process may have begun, or finished. One whose time is over is forgotten."""
        pending = await asyncio.to_thread(_load, self._store, self._name)
        if pending is None or pending.leaf.not_valid_after_utc > self._clock.now():
            return pending
        await asyncio.to_thread(self._store.remove, _stored(self._name))
        log.warning("certificate not revoked", certificate=self._name, serial=pending.serial, problem="it has expired")
        return None

    async def _finish(self, pending: Revocation, *, by_hand: bool) -> None:
        issuer = self._issuer(pending)
        await self._put_another_in_place(pending, by_hand=by_hand)
        await self._revoke(pending, issuer)
        await asyncio.to_thread(self._store.remove, _stored(self._name))
        log.warning(
            "certificate revoked",
            certificate=self._name,
            serial=pending.serial,
            issuer=issuer.name,
            reason=pending.reason,
        )

    def _begun(self, reason: int) -> Revocation:
        issued = self._keeper.standing.issued
        if issued is None:
            raise IssueError("there is no certificate to revoke")
        return Revocation(issued.chain, issued.issuer, issued.directory, reason)

    def _issuer(self, pending: Revocation) -> WantedIssuer:
        for issuer in self._keeper.wanted.issuers:
            if issuer.directory == pending.directory:
                return issuer
        raise IssueError(f"{pending.issuer} has issued it, and is none of its issuers any more")

    async def _put_another_in_place(self, pending: Revocation, *, by_hand: bool) -> None:
        """Raises, also `BusyError`, unless there is one then."""
        standing = self._keeper.standing
        if self._is_in_place(pending):
            if by_hand:
                await self._keeper.renew()
            elif not standing.failures:
                # Else it tries by itself, and wakes us.
                await self._keeper.renew(is_due=True)
        if self._is_in_place(pending):
            raise IssueError(f"there is no other in its place yet: {standing.error or 'it is not issued'}")

    def _is_in_place(self, pending: Revocation) -> bool:
        issued = self._keeper.standing.issued
        # None: not read yet, or not readable.
        return issued is None or issued.chain == pending.chain

    def _failed(self, problem: str) -> None:
        standing = self.standing
        standing.failures += 1
        standing.error = problem
        standing.next_try = self._clock.now() + renewal.retry(standing.failures, self._random())
        self._woken.set()
        log.warning(
            "certificate not revoked",
            certificate=self._name,
            serial=None if standing.pending is None else standing.pending.serial,
            problem=problem,
            next_try=f"{standing.next_try:%Y-%m-%d %H:%M:%S} UTC",
        )


def _stored(name: str) -> str:
    return f"revocations/{name}"


def _load(store: Store, name: str) -> Revocation | None:
    text = store.read(_stored(name))
    if text is None:
        return None
    try:
        return _from_json(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        # Not as nothing: somebody wanted it revoked.
        raise StoreError(f"{_stored(name)}, a certificate that is to be revoked, cannot be read: {error}") from error


def _from_json(data: Any) -> Revocation:  # noqa: ANN401 - JSON
    if data["version"] != VERSION:
        raise ValueError("of another version")
    found = Revocation(str(data["chain"]), str(data["issuer"]), str(data["directory"]), int(data["reason"]))
    # A text that is no certificate is found here, and not by whoever revokes it.
    found.leaf.public_key()
    return found


def _save(store: Store, name: str, revocation: Revocation) -> None:
    store.write(_stored(name), json.dumps({"version": VERSION, **asdict(revocation)}, indent=1))
