"""The life of a certificate, in simulated time."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest
from evenly.certificates import records
from evenly.certificates.issue_error import IssueError
from evenly.certificates.keeper import BusyError
from evenly.certificates.renewal import Window

from .simulated import BEGINNING, DAY, World, issuer


def days(world: World) -> list[float]:
    return [round((moment - BEGINNING) / DAY, 1) for moment, _ in world.asked]


def test_renewed_after_two_thirds_of_its_time() -> None:
    async def scene() -> None:
        world = World(90)
        keeper = world.keeper(draw=0.0)
        await world.lives(keeper)
        assert days(world) == [0.0, 60.0, 120.0, 180.0, 240.0, 300.0, 360.0]
        assert world.installed == 7
        assert keeper.standing.issued == records.load(world.store, "site")
        assert keeper.standing.outcomes == {("first", "issued"): 7}
        begins = [None if each is None else each.life[0] for each in world.replaced]
        assert begins == [None, *(moment for moment, _ in world.asked[:-1])], "each is told which one it replaces"

    asyncio.run(scene())


def test_the_issuers_window_counts_and_is_asked_for_again() -> None:
    """RFC 9773: a window that moves, as before a mass revocation, is followed within half a day."""

    async def scene() -> None:
        world = World(90, until=89 * DAY)
        world.windows = {
            BEGINNING: Window(BEGINNING + 60 * DAY, BEGINNING + 61 * DAY),
            BEGINNING + 40 * DAY: Window(BEGINNING + 39 * DAY, BEGINNING + 40 * DAY),
        }
        await world.lives(world.keeper(draw=0.5))
        [first, second, *rest] = days(world)
        assert first == 0.0
        assert 40.0 <= second <= 40.6
        # The window stays, and would be over before the new certificate began: it says nothing about that one.
        assert rest == []

    asyncio.run(scene())


def test_a_failure_keeps_the_old_one_and_backs_off_to_a_bound() -> None:
    async def scene() -> None:
        world = World(90, until=89 * DAY)
        world.dies = {BEGINNING + timedelta(hours=1): {"first"}}
        keeper = world.keeper(draw=1.0)
        await world.lives(keeper)
        tries = [moment for moment, _ in world.asked[1:]]
        pauses = [(later - earlier) / timedelta(minutes=1) for earlier, later in pairwise(tries)]
        assert [round(pause) for pause in pauses[:9]] == [2, 4, 8, 16, 32, 64, 128, 256, 360]
        assert max(pauses) <= 361
        assert keeper.standing.failures == len(tries)
        assert keeper.standing.error == "first is dead"
        assert keeper.standing.issued is not None
        assert world.installed == 1

    asyncio.run(scene())


def test_it_recovers() -> None:
    async def scene() -> None:
        world = World(90, until=89 * DAY)
        world.dies = {BEGINNING: {"first"}, BEGINNING + DAY: set()}
        keeper = world.keeper()
        await world.lives(keeper)
        assert keeper.standing.error == ""
        assert keeper.standing.failures == 0
        assert world.installed == 2

    asyncio.run(scene())


def test_the_next_issuer_is_asked_at_once_and_the_first_again_next_time() -> None:
    async def scene() -> None:
        world = World(90, "first", "second", until=100 * DAY)
        world.dies = {BEGINNING: {"first"}, BEGINNING + 50 * DAY: set()}
        keeper = world.keeper()
        await world.lives(keeper)
        assert [name for _, name in world.asked] == ["first", "second", "first"]
        assert world.asked[0][0] == world.asked[1][0]
        assert keeper.standing.issued is not None
        assert keeper.standing.issued.issuer == "first"

    asyncio.run(scene())


def test_what_the_store_has_is_taken_without_asking() -> None:
    async def scene() -> None:
        world = World(90, until=DAY)
        records.save(world.store, "site", world.made(world.wanted, world.wanted.issuers[0]))
        keeper = world.keeper()
        await world.lives(keeper)
        assert world.asked == []
        assert keeper.standing.why == "two thirds of its time"

    asyncio.run(scene())


@pytest.mark.parametrize("change", ["hosts", "key_type", "issuers"])
def test_another_that_is_wanted_is_asked_for_at_once(change: str) -> None:
    async def scene() -> None:
        world = World(90, until=DAY)
        old = world.made(world.wanted, world.wanted.issuers[0])
        records.save(world.store, "site", old)
        others = {"hosts": ("new.test",), "key_type": "rsa-2048", "issuers": (issuer("other"),)}
        world.wanted = world.wanted.__class__(**{**vars(world.wanted), change: others[change]})
        await world.lives(world.keeper())
        assert days(world) == [0.0]

    asyncio.run(scene())


def test_another_process_is_not_disturbed_and_its_result_is_taken() -> None:
    async def scene() -> None:
        world = World(90, until=DAY)
        world.store.is_locked = True
        keeper = world.keeper()
        task = asyncio.create_task(keeper.run())
        await world.clock.passes(BEGINNING + timedelta(minutes=5))
        assert world.asked == []
        with pytest.raises(BusyError):
            await keeper.renew()
        records.save(world.store, "site", world.made(world.wanted, world.wanted.issuers[0]))
        world.store.is_locked = False
        await world.clock.ended.wait()
        task.cancel()
        assert world.asked == []
        assert world.installed == 1

    asyncio.run(scene())


def test_by_hand_and_dry() -> None:
    async def scene() -> None:
        world = World(90)
        keeper = world.keeper()
        await keeper.renew(dry_run=True)
        assert (len(world.asked), world.installed, keeper.standing.issued) == (1, 0, None)
        world.dead = {"first"}
        with pytest.raises(IssueError, match="first is dead"):
            await keeper.renew(dry_run=True)
        assert keeper.standing.error == ""
        with pytest.raises(IssueError, match="first is dead"):
            await keeper.renew()
        assert keeper.standing.error == "first is dead"
        world.dead = set()
        await keeper.renew()
        assert (world.installed, keeper.standing.error) == (1, "")

    asyncio.run(scene())


def test_a_mistake_of_ours_is_a_failure_like_any_other() -> None:
    async def scene() -> None:
        world = World(90, until=DAY)
        keeper = world.keeper()

        async def broken(*_, **__):
            raise ZeroDivisionError

        keeper._issue = broken
        await world.lives(keeper)
        assert "ZeroDivisionError" in keeper.standing.error
        assert keeper.standing.failures > 3

    asyncio.run(scene())
