"""What is kept of certificates on demand, over failures, restarts and beside other processes; without an issuer."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from evenly.certificates import records
from evenly.certificates.clock import SystemClock
from evenly.certificates.demand import DemandError
from evenly.certificates.directory import DirectoryStore
from evenly.certificates.issue_error import IssueError
from evenly.certificates.keeper import Keeper
from evenly.certificates.records import Issued
from evenly.certificates.revoking import Revoker
from evenly.certificates.wanted import Wanted
from evenly.config.load import load_text
from evenly.config.self_signed import self_signed
from evenly.control import on_demand
from evenly.control.keepers import Kept
from evenly.control.on_demand import Demanded, OnDemand

TEXT = """
state_dir = "{state}"
[acme]
terms_agreed = true
issuers = {{ one = "https://ca.test/dir" }}
challenge = "tls-alpn-01"
[certificates.shops]
acme = {{ on_demand = {{ hosts = "*", ask = "http://127.0.0.1:9/", rate = "{rate}" }} }}
[listeners.secure]
bind = "127.0.0.1:0"
tls = {{ certificates = "shops", handshake_timeout = "30s" }}
[pools.app]
endpoints = ["127.0.0.1:9"]
"""

DEADLINE = 10.0
"""Seconds for what takes milliseconds."""


class World:
    """A service, an issuer and a store; each process on them is `running`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = DirectoryStore(directory / "acme")
        self.refused: set[str] = set()
        self.asked: list[str] = []
        self.ordered: list[str] = []
        self.is_dead = False
        self.together = 1
        """Orders that come to their end at the same time."""
        self.published: Demanded = {}
        self.settled: list[str] = []

    def loaded(self, rate: str = "100/s"):
        return load_text(TEXT.format(state=self.directory, rate=rate), "evenly.toml", self.directory)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[OnDemand]:
        self._all_there = asyncio.Barrier(self.together)
        process = OnDemand(self, self._publish, self.settled.append)  # type: ignore[arg-type]
        process.follow(self.loaded())
        try:
            yield process
        finally:
            await process.close()

    async def comes(self, process: OnDemand, *names: str) -> None:
        """Clients that ask for these, until nobody waits any more."""
        before = {name: self.settled.count(name) for name in names}
        for name in names:
            process.asked(name)
        await until(lambda: all(self.settled.count(name) > count for name, count in before.items()))

    def kept(self, wanted: Wanted, store: DirectoryStore, installed: Callable[[], Awaitable[None]], permit) -> Kept:
        """As `Keepers` does."""

        async def issue(*_: object, **__: object) -> Issued:
            await permit()
            self.ordered.append(wanted.hosts[0])
            if self.is_dead:
                raise IssueError("the issuer is dead")
            await self._all_there.wait()
            return issued(wanted)

        async def ask_window(*_: object):
            return None, (datetime.now(UTC) + timedelta(hours=6)).timestamp()

        async def revoke(*_: object) -> None:
            raise AssertionError("nobody has asked for that")

        keeper = Keeper(wanted, store, issue, ask_window, installed, SystemClock(), lambda: 0.5)
        return Kept(keeper, Revoker(keeper, store, revoke, SystemClock(), lambda: 0.5), store)

    async def allows(self, _: object, host: str) -> bool:
        self.asked.append(host)
        if host.startswith("silent."):
            raise DemandError("no answer")
        return host not in self.refused

    def listed(self) -> list[str]:
        text = self.store.read("on-demand/shops")
        return [] if text is None else json.loads(text)["hosts"]

    def record(self, host: str) -> Path:
        return self.directory / "acme" / "certificates" / "shops" / f"{host}.json"

    async def _publish(self, demanded: Demanded) -> None:
        self.published = demanded


def issued(wanted: Wanted, age: timedelta = timedelta()) -> Issued:
    pem = self_signed("x", wanted.hosts, datetime.now(UTC) - age, timedelta(days=90))
    return Issued(pem.chain, pem.key, wanted.hosts, wanted.key_type, "one", wanted.issuers[0].directory)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            if is_so():
                return
            await asyncio.sleep(0.005)


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    made = World(tmp_path)
    monkeypatch.setattr(on_demand, "allows", made.allows)
    return made


def test_hosts_that_are_issued_at_the_same_time_are_all_kept(world) -> None:
    """By one process, and by two on one store."""
    world.together = 6

    async def scene() -> None:
        async with world.running() as one, world.running() as other:
            mine, theirs = [f"{number}.a.test" for number in range(3)], [f"{number}.b.test" for number in range(3)]
            await asyncio.gather(world.comes(one, *mine), world.comes(other, *theirs))
            assert world.listed() == sorted([*mine, *theirs])

    asyncio.run(scene())


def test_a_record_that_cannot_be_read_stands_in_nobodys_way(world) -> None:
    """Neither clients that ask for it, nor the hosts behind it, nor the list."""

    async def scene() -> None:
        async with world.running() as process:
            await world.comes(process, "a.test", "b.test", "c.test")
        world.record("b.test").unlink()
        world.record("b.test").mkdir()
        world.asked.clear()
        async with world.running() as process:
            await world.comes(process, "b.test", "c.test", "d.test")
            assert world.asked == ["d.test"]
            assert set(world.published["shops"]) == {"a.test", "c.test", "d.test"}
            assert world.listed() == ["a.test", "b.test", "c.test", "d.test"]

    asyncio.run(scene())


def test_a_list_that_cannot_be_understood_is_left_as_it_is(world) -> None:
    """Clients are served, though; also where reading fails as nobody has thought of."""
    world.store.write("on-demand/shops", "{")

    async def scene() -> None:
        async with world.running() as process:
            await world.comes(process, "a.test")
            assert set(world.published["shops"]) == {"a.test"}
        assert world.store.read("on-demand/shops") == "{"
        world.store.write("on-demand/shops", "[" * 200_000)
        async with world.running() as process:
            await world.comes(process, "a.test")
            assert world.ordered == ["a.test"]

    asyncio.run(scene())


def test_what_the_store_has_is_not_ordered_again(world) -> None:
    """Once the service has said yes; unless it is due."""

    async def scene() -> None:
        async with world.running() as one, world.running() as other:
            await world.comes(one, "a.test")
            await world.comes(other, "a.test")
            assert (world.asked, world.ordered) == (["a.test"] * 2, ["a.test"])
            wanted = world_wanted(world, "old.test")
            records.save(world.store, wanted.name, issued(wanted, timedelta(days=80)))
            await world.comes(other, "old.test")
            assert world.ordered == ["a.test", "old.test"]

    asyncio.run(scene())


def test_who_finds_another_process_at_it_comes_again_soon(world, monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr(on_demand, "time", type("Time", (), {"monotonic": staticmethod(lambda: now[0])}))

    async def scene() -> None:
        async with world.running() as process:
            with world.store.locked("certificates/shops/a.test"):
                await world.comes(process, "a.test")
            wanted = world_wanted(world, "a.test")
            records.save(world.store, wanted.name, issued(wanted))
            now[0] = 4.0
            await world.comes(process, "a.test")
            assert world.published.get("shops", {}) == {}
            now[0] = 5.0
            await world.comes(process, "a.test")
            assert set(world.published["shops"]) == {"a.test"}
            assert world.ordered == []

    asyncio.run(scene())


def test_clients_cannot_have_a_dead_issuer_asked_on_and_on(world, monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr(on_demand, "time", type("Time", (), {"monotonic": staticmethod(lambda: now[0])}))
    world.is_dead = True

    async def scene() -> None:
        async with world.running() as process:
            for _ in range(24 * 6):
                await world.comes(process, "a.test")
                now[0] += 600
            assert 8 <= len(world.ordered) <= 14
            world.is_dead = False
            now[0] += 6 * 3600
            await world.comes(process, "a.test")
            assert set(world.published["shops"]) == {"a.test"}

    asyncio.run(scene())


def test_a_list_that_cannot_be_written_costs_no_certificate(world) -> None:
    (world.directory / "acme").mkdir()
    (world.directory / "acme" / "on-demand").touch()

    async def scene() -> None:
        async with world.running() as process:
            await world.comes(process, "a.test")
            await world.comes(process, "a.test", "b.test")
            assert set(world.published["shops"]) == {"a.test", "b.test"}
            assert (world.asked, world.ordered) == (["a.test", "b.test"], ["a.test", "b.test"])
            standing = process.status("shops")
            assert standing is not None
            assert (standing.hosts, standing.outcomes["issued"], standing.outcomes["failed"]) == (2, 2, 0)

    asyncio.run(scene())


def test_a_host_whose_record_is_gone_is_asked_about(world) -> None:
    """And is not one any more if it is refused."""

    async def scene() -> None:
        async with world.running() as process:
            await world.comes(process, "a.test", "b.test")
        world.record("a.test").unlink()
        world.record("b.test").unlink()
        world.asked.clear()
        world.ordered.clear()
        world.refused = {"b.test"}
        async with world.running():
            await until(lambda: world.listed() == ["a.test"] and "a.test" in world.published.get("shops", {}))
            assert sorted(world.asked) == ["a.test", "b.test"]
            assert world.ordered == ["a.test"]

    asyncio.run(scene())


def test_what_no_issuer_certifies_costs_nothing(world) -> None:
    async def scene() -> None:
        async with world.running() as process:
            process.follow(world.loaded("1/h"))
            await world.comes(process, "_a.test", "a..test", "-a.test")
            await world.comes(process, "a.test")
            assert (world.asked, world.ordered) == (["a.test"], ["a.test"])

    asyncio.run(scene())


def test_a_reload_while_the_list_is_read_leaves_nobody_behind(world, monkeypatch) -> None:
    """No keeper goes on that belongs to what does not run any more, and clients get on."""

    async def scene() -> None:
        async with world.running() as process:
            await world.comes(process, "a.test", "b.test")
        loaded, is_reloaded = [], threading.Event()
        load, run = records.load, Keeper.run
        ran: list[str] = []

        def loading(store: DirectoryStore, name: str) -> Issued | None:
            loaded.append(name)
            if len(loaded) == 1:
                is_reloaded.wait(DEADLINE)
            return load(store, name)

        async def running(keeper: Keeper) -> None:
            ran.append(keeper.wanted.name)
            await run(keeper)

        monkeypatch.setattr(records, "load", loading)
        monkeypatch.setattr(Keeper, "run", running)
        async with world.running() as process:
            await until(lambda: bool(loaded))
            process.asked("a.test")
            # Until it waits, too.
            await asyncio.sleep(0)
            process.follow(world.loaded("1/s"))
            is_reloaded.set()
            await world.comes(process, "b.test")
            await until(lambda: not process._tasks)
            assert world.settled.count("a.test") == 2
            assert sorted(ran) == ["shops/a.test", "shops/b.test"]
            assert sorted(world.ordered) == ["a.test", "b.test"], "none since the first process"

    asyncio.run(scene())


def world_wanted(world: World, host: str) -> Wanted:
    return on_demand.wanted_on_demand(world.loaded(), "shops", host)
