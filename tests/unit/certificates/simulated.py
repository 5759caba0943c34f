"""Issuers, a store and a clock in memory: years of renewals pass in a moment."""

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from evenly.certificates.issue_error import IssueError
from evenly.certificates.keeper import Keeper
from evenly.certificates.records import Issued
from evenly.certificates.renewal import Window
from evenly.certificates.wanted import Wanted, WantedIssuer
from evenly.config.self_signed import self_signed

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class SimulatedClock:
    """Waiting passes time at once, up to `until`, when a test has seen enough."""

    def __init__(self, until: datetime) -> None:
        self.time = BEGINNING
        self.until = until
        self.ended = asyncio.Event()
        self._passed: dict[datetime, asyncio.Event] = {}

    def now(self) -> datetime:
        return self.time

    async def wait(self, woken: asyncio.Event, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        for moment, passed in self._passed.items():
            if self.time >= moment:
                passed.set()
        if self.time >= self.until:
            self.ended.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    async def passes(self, moment: datetime) -> None:
        """Waits until it is so late."""
        await self._passed.setdefault(moment, asyncio.Event()).wait()


class MemoryStore:
    """As `Store` says."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.is_locked = False

    def read(self, name: str) -> str | None:
        return self.texts.get(name)

    def write(self, name: str, text: str) -> None:
        self.texts[name] = text

    def remove(self, name: str) -> None:
        self.texts.pop(name, None)

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[bool]:
        yield not self.is_locked


class World:
    """One keeper, and issuers that a test kills and revives; `asked` is when each was asked for what."""

    def __init__(self, days: float = 90, *issuers: str, until: timedelta = 400 * DAY) -> None:
        self.clock = SimulatedClock(BEGINNING + until)
        self.store = MemoryStore()
        self.life = timedelta(days=days)
        self.dead: set[str] = set()
        self.dies: dict[datetime, set[str]] = {}
        self.windows: dict[datetime, Window] = {}
        self.asked: list[tuple[datetime, str]] = []
        self.replaced: list[Issued | None] = []
        self.windows_asked: list[datetime] = []
        self.installed = 0
        names = issuers or ("first",)
        self.wanted = Wanted("site", ("shop.test",), "ecdsa-p256", "http-01", None, Path(), tuple(map(issuer, names)))

    def keeper(self, draw: float = 0.5) -> Keeper:
        return Keeper(self.wanted, self.store, self.issue, self.ask_window, self.install, self.clock, lambda: draw)

    async def issue(
        self, wanted: Wanted, issuer: WantedIssuer, *, before: Issued | None, dry_run: bool
    ) -> Issued | None:
        self.replaced.append(before)
        self.asked.append((self.clock.time, issuer.name))
        for moment, dead in self.dies.items():
            if self.clock.time >= moment:
                self.dead = dead
        if issuer.name in self.dead:
            raise IssueError(f"{issuer.name} is dead")
        return None if dry_run else self.made(wanted, issuer)

    def made(self, wanted: Wanted, issuer: WantedIssuer) -> Issued:
        pem = self_signed("x", wanted.hosts, self.clock.time + timedelta(hours=1), self.life - timedelta(hours=1))
        return Issued(pem.chain, pem.key, wanted.hosts, wanted.key_type, issuer.name, issuer.directory)

    async def ask_window(self, issued: Issued, issuer: WantedIssuer):
        self.windows_asked.append(self.clock.time)
        if issuer.name in self.dead:
            raise IssueError(f"{issuer.name} is dead")
        window = next((each for moment, each in reversed(self.windows.items()) if self.clock.time >= moment), None)
        return window, (self.clock.time + timedelta(hours=12)).timestamp()

    async def install(self) -> None:
        self.installed += 1

    async def lives(self, keeper: Keeper) -> None:
        """Until the clock has come to its end."""
        task = asyncio.create_task(keeper.run())
        ended = asyncio.create_task(self.clock.ended.wait())
        await asyncio.wait([task, ended], return_when=asyncio.FIRST_COMPLETED)
        assert not task.done(), task.exception()
        task.cancel()


def issuer(name: str) -> WantedIssuer:
    """An issuer that is only a name."""
    return WantedIssuer(name, f"https://{name}.test/dir", None, None)
