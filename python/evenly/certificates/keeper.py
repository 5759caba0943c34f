"""The life of one certificate: issued, shown, renewed in time; asked for again when that fails, while the one before
stays."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

import structlog

from evenly.certificates import records, renewal
from evenly.certificates.clock import Clock
from evenly.certificates.issue_error import IssueError
from evenly.certificates.records import Issued
from evenly.certificates.renewal import Window
from evenly.certificates.responder import ResponderError
from evenly.certificates.store import Store, StoreError
from evenly.certificates.wanted import Wanted, WantedIssuer

LOOK = 3600.0
"""Seconds between two looks at the clock at most: it may be set, or the machine have slept."""

BUSY = timedelta(minutes=1)
"""How long to wait for another process that is renewing the same certificate: about as long as that takes."""

SOONEST = timedelta(hours=1)
"""Between two certificates at least, or a third of their time if that is less: a clock that is wrong, or an issuer that
wants all renewed at once, would otherwise use up what it allows in minutes."""

Outcome = Literal["issued", "failed"]
OUTCOMES: tuple[Outcome, ...] = ("issued", "failed")

log = structlog.get_logger("evenly")


class Issue(Protocol):
    """Gets a certificate from one issuer; see `issuing.issue`."""

    async def __call__(
        self, wanted: Wanted, issuer: WantedIssuer, *, before: Issued | None, dry_run: bool
    ) -> Issued | None: ...


AskWindow = Callable[[Issued, WantedIssuer], Awaitable[tuple[Window | None, float]]]
"""When an issuer wants a certificate renewed; see `issuing.ask_window`."""


@dataclass(slots=True)
class Standing:
    """How it is going; what an operator is shown."""

    issued: Issued | None = None
    is_renewing: bool = False
    next_try: datetime | None = None
    why: str = ""
    """What the next try is for."""
    error: str = ""
    """Why the last try failed; empty if it did not."""
    failures: int = 0
    """In a row."""
    attempted: datetime | None = None
    outcomes: Counter[tuple[str, Outcome]] = field(default_factory=Counter)
    """By issuer."""


class BusyError(Exception):
    """Another process is renewing this certificate."""


class Keeper:
    """One certificate. `run` it; it awaits `installed` whenever there is a new one in the store."""

    def __init__(
        self,
        wanted: Wanted,
        store: Store,
        issue: Issue,
        ask_window: AskWindow,
        installed: Callable[[], Awaitable[None]],
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self.wanted = wanted
        self.standing = Standing()
        self._store = store
        self._issue = issue
        self._ask_window = ask_window
        self._installed = installed
        self._clock = clock
        self._random = random
        self._woken = asyncio.Event()
        self._trying = asyncio.Lock()
        self._chosen = random()
        self._window: Window | None = None
        self._taken: datetime | None = None
        """When this process last got one."""
        self._ask_again = clock.now()

    async def run(self) -> None:
        """Until cancelled."""
        await self._load()
        while True:
            self._plan()
            await self._follow_issuer()
            self._plan()
            wait = self._until(self.standing.next_try)
            if self.standing.issued is not None:
                wait = min(wait, max(self._until(self._ask_again), 1.0))
            if wait > 0:
                self._woken.clear()
                await self._clock.wait(self._woken, min(wait, LOOK))
            else:
                await self.renew(is_due=True)

    async def renew(self, *, dry_run: bool = False, is_due: bool = False, or_take: bool = False) -> None:
        """Gets a new one now, from the first issuer that gives one; `is_due` or `or_take`: unless another process has.

        What fails is in `standing`; whoever asked for it (not `is_due`) gets it, too: `IssueError`, `BusyError` or
        `StoreError`.
        """
        before = self.standing.issued
        async with self._trying:
            if is_due and self.standing.issued is not before:
                # Somebody asked for it while it became due.
                return
            self.standing.is_renewing = not dry_run
            try:
                await self._try(dry_run=dry_run, or_take=is_due or or_take)
            except BusyError as error:
                if not is_due:
                    raise
                self._retry(BUSY, str(error))
            except (IssueError, StoreError) as error:
                if not dry_run:
                    self._failed(str(error))
                if not is_due:
                    raise
            except Exception as error:
                # A mistake of ours must not be the end of every renewal.
                log.exception("certificate not issued", certificate=self.wanted.name)
                if not is_due:
                    raise
                self._failed(repr(error))
            finally:
                self.standing.is_renewing = False
        self._woken.set()

    async def _try(self, *, dry_run: bool, or_take: bool) -> None:
        with ExitStack() as held:
            lock = self._store.locked(f"certificates/{self.wanted.name}")
            is_ours = await asyncio.to_thread(held.enter_context, lock)
            if not is_ours:
                raise BusyError("another process is renewing this certificate")
            if not dry_run:
                self.standing.attempted = self._clock.now()
            if or_take and await self._another_has():
                return
            issued = await self._ask_issuers(dry_run=dry_run)
            if issued is None:
                return
            await asyncio.to_thread(records.save, self._store, self.wanted.name, issued)
        self._take(issued)
        log.info(
            "certificate issued",
            certificate=self.wanted.name,
            issuer=issued.issuer,
            hosts=", ".join(issued.hosts),
            expires=f"{issued.life[1]:%Y-%m-%d %H:%M} UTC",
        )
        await self._installed()

    async def _ask_issuers(self, *, dry_run: bool) -> Issued | None:
        """From the first issuer that gives one. Raises `IssueError` with what each of them said."""
        problems = []
        for issuer in self.wanted.issuers:
            try:
                before = self.standing.issued
                issued = await self._issue(self.wanted, issuer, before=before, dry_run=dry_run)
            except (IssueError, ResponderError) as error:
                problems.append(str(error))
                if not dry_run:
                    self.standing.outcomes[issuer.name, "failed"] += 1
                    log.warning("issuer failed", certificate=self.wanted.name, issuer=issuer.name, problem=str(error))
            else:
                if not dry_run:
                    self.standing.outcomes[issuer.name, "issued"] += 1
                return issued
        raise IssueError("; ".join(problems))

    async def _another_has(self) -> bool:
        """Whether a process that shares the store has renewed it meanwhile; then that is taken."""
        kept = await asyncio.to_thread(records.load, self._store, self.wanted.name)
        if kept is None or kept == self.standing.issued or not kept.satisfies(self.wanted):
            return False
        if renewal.due(*kept.life, None, self._chosen) <= self._clock.now():
            return False
        self._take(kept)
        await self._installed()
        return True

    async def _load(self) -> None:
        try:
            self.standing.issued = await asyncio.to_thread(records.load, self._store, self.wanted.name)
        except StoreError as error:
            self._failed(str(error))

    async def _follow_issuer(self) -> None:
        """Asks the issuer for its window, if it is time to."""
        issued, now = self.standing.issued, self._clock.now()
        if issued is None or now < self._ask_again or issued.life[1] <= now:
            return
        issuer = next((each for each in self.wanted.issuers if each.directory == issued.directory), None)
        self._ask_again = now + timedelta(hours=6)
        if issuer is None:
            return
        try:
            window, again = await self._ask_window(issued, issuer)
        except (IssueError, StoreError) as error:
            # The last window holds, or the certificate's own time.
            log.info("renewal window unknown", certificate=self.wanted.name, problem=str(error))
            return
        if window is not None and window != self._window:
            self._chosen = self._random()
        self._window = window
        self._ask_again = datetime.fromtimestamp(again, now.tzinfo)

    def _plan(self) -> None:
        """When to try next, and why; after a failure that is said already."""
        standing = self.standing
        if standing.failures or (standing.error and standing.next_try and standing.next_try > self._clock.now()):
            return
        issued = standing.issued
        if issued is None:
            standing.next_try, standing.why = self._clock.now(), "there is none yet"
        elif not issued.satisfies(self.wanted):
            standing.next_try, standing.why = self._clock.now(), "another is wanted"
        else:
            begins, expires = issued.life
            window = renewal.meant(self._window, begins)
            standing.next_try = renewal.due(begins, expires, window, self._chosen)
            standing.why = "two thirds of its time" if window is None else "as the issuer suggests"
            if self._taken is not None:
                standing.next_try = max(standing.next_try, self._taken + min(SOONEST, (expires - begins) / 3))

    def _take(self, issued: Issued) -> None:
        self._taken = self._clock.now()
        self.standing.issued = issued
        self.standing.error, self.standing.failures = "", 0
        self._chosen, self._window, self._ask_again = self._random(), None, self._clock.now()

    def _failed(self, problem: str) -> None:
        self.standing.failures += 1
        self._retry(renewal.retry(self.standing.failures, self._random()), problem)
        log.warning(
            "certificate not issued",
            certificate=self.wanted.name,
            problem=problem,
            result="no certificate yet" if self.standing.issued is None else "the one before stays",
            next_try=f"{self.standing.next_try:%Y-%m-%d %H:%M:%S} UTC",
        )

    def _retry(self, pause: timedelta, problem: str) -> None:
        self.standing.error = problem
        self.standing.next_try, self.standing.why = self._clock.now() + pause, "the last try failed"

    def _until(self, moment: datetime | None) -> float:
        return 0.0 if moment is None else (moment - self._clock.now()).total_seconds()
