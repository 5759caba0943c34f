"""What is to be revoked is never forgotten before its issuer has done it: in simulated time, over failures and ends."""

import asyncio
import json
from datetime import datetime, timedelta

import pytest
from evenly.certificates import records
from evenly.certificates.issue_error import IssueError
from evenly.certificates.keeper import BusyError, Keeper
from evenly.certificates.revoking import Revocation, Revoker
from evenly.certificates.store import StoreError
from evenly.certificates.wanted import WantedIssuer

from .simulated import BEGINNING, DAY, World, issuer

KEPT = "revocations/site"
COMPROMISE = 1


class Scene:
    """A world with a certificate in place; its issuer refuses to revoke while `is_refusing`."""

    def __init__(self, until: timedelta = 2 * DAY, days: float = 90) -> None:
        self.world = World(days, until=until)
        self.is_refusing = False
        self.asked: list[datetime] = []
        self.revoked: list[tuple[str, int]] = []
        self.first = self.world.made(self.world.wanted, issuer("first"))
        records.save(self.world.store, "site", self.first)
        self.start()

    def start(self) -> None:
        """As a process that reads what the store has."""
        self.keeper: Keeper = self.world.keeper()
        self.keeper.standing.issued = records.load(self.world.store, "site")
        world = self.world
        self.revoker = Revoker(self.keeper, world.store, self.revoke, world.clock, lambda: 1.0)

    async def revoke(self, pending: Revocation, by: WantedIssuer) -> None:
        self.asked.append(self.world.clock.time)
        assert by.directory == pending.directory
        assert KEPT in self.world.store.texts, "it is kept until the issuer has done it"
        assert self.in_place != pending.chain, "another is in its place"
        if self.is_refusing:
            raise IssueError("first did not revoke the certificate: Service Unavailable")
        self.revoked.append((pending.chain, pending.reason))

    @property
    def in_place(self) -> str:
        issued = records.load(self.world.store, "site")
        assert issued is not None
        return issued.chain

    async def lives(self, *more: asyncio.Task[None]) -> None:
        """Until the clock has come to its end."""
        task = asyncio.create_task(self.revoker.run())
        ended = asyncio.create_task(self.world.clock.ended.wait())
        await asyncio.wait([task, ended, *more], return_when=asyncio.FIRST_COMPLETED)
        assert not task.done(), task.exception()
        task.cancel()


def test_another_comes_first_and_nothing_is_left() -> None:
    async def run() -> None:
        scene = Scene()
        await scene.revoker.revoke(COMPROMISE)
        assert scene.revoked == [(scene.first.chain, COMPROMISE)]
        assert scene.in_place != scene.first.chain
        assert KEPT not in scene.world.store.texts
        assert scene.revoker.standing.pending is None

    asyncio.run(run())


def test_a_refusal_is_tried_again_until_it_is_done() -> None:
    async def run() -> None:
        scene = Scene()
        scene.is_refusing = True
        with pytest.raises(IssueError, match="Service Unavailable; it is tried again by itself"):
            await scene.revoker.revoke(COMPROMISE)
        assert json.loads(scene.world.store.texts[KEPT])["reason"] == COMPROMISE
        second = scene.in_place
        await scene.lives()
        pauses = [round((later - scene.asked[0]) / timedelta(minutes=1)) for later in scene.asked[1:9]]
        assert pauses == [2, 6, 14, 30, 62, 126, 254, 510]
        assert scene.revoker.standing.failures == len(scene.asked)
        scene.is_refusing = False
        scene.world.clock.until += DAY
        scene.world.clock.ended.clear()
        await scene.lives()
        assert scene.revoked == [(scene.first.chain, COMPROMISE)]
        assert scene.in_place == second, "one renewal is enough"
        assert KEPT not in scene.world.store.texts
        assert scene.revoker.standing.error == ""

    asyncio.run(run())


def test_asked_for_again_it_finishes_the_first_and_leaves_its_successor_alone() -> None:
    async def run() -> None:
        scene = Scene()
        scene.is_refusing = True
        with pytest.raises(IssueError):
            await scene.revoker.revoke(0)
        second = scene.in_place
        scene.is_refusing = False
        await scene.revoker.revoke(COMPROMISE)
        assert scene.revoked == [(scene.first.chain, COMPROMISE)], "for the reason that was said last"
        assert scene.in_place == second
        await scene.revoker.revoke(COMPROMISE)
        assert [chain for chain, _ in scene.revoked] == [scene.first.chain, second]

    asyncio.run(run())


@pytest.mark.parametrize("is_replaced", [True, False], ids=["ended-after-renewal", "ended-before"])
def test_the_next_process_goes_on(is_replaced) -> None:
    async def run() -> None:
        scene = Scene()
        scene.is_refusing = True
        scene.world.dead = set() if is_replaced else {"first"}
        with pytest.raises(IssueError):
            await scene.revoker.revoke(COMPROMISE)
        assert (scene.in_place != scene.first.chain) is is_replaced
        scene.is_refusing, scene.world.dead = False, set()
        scene.start()
        await scene.lives()
        assert scene.revoked == [(scene.first.chain, COMPROMISE)]
        assert scene.in_place != scene.first.chain

    asyncio.run(run())


def test_without_another_it_stays_and_is_revoked_when_there_is_one() -> None:
    """Clients are not left with a certificate that is revoked; the keeper tries in its own time, and not twice."""

    async def run() -> None:
        scene = Scene()
        scene.world.dead = {"first"}
        with pytest.raises(IssueError, match="first is dead; it is tried again"):
            await scene.revoker.revoke(COMPROMISE)
        await scene.lives()
        assert scene.asked == []
        assert len(scene.world.asked) == 1
        assert "there is no other in its place yet: first is dead" in scene.revoker.standing.error
        scene.world.dead = set()
        await scene.keeper.renew()
        scene.revoker.wake()
        assert scene.revoker.standing.next_try == scene.world.clock.time
        scene.world.clock.until += DAY
        scene.world.clock.ended.clear()
        await scene.lives()
        assert scene.revoked == [(scene.first.chain, COMPROMISE)]

    asyncio.run(run())


def test_one_whose_time_is_over_is_forgotten() -> None:
    async def run() -> None:
        scene = Scene(until=200 * DAY)
        scene.is_refusing = True
        with pytest.raises(IssueError):
            await scene.revoker.revoke(COMPROMISE)
        await scene.lives()
        assert max(scene.asked) < scene.first.life[1]
        assert KEPT not in scene.world.store.texts
        assert scene.revoker.standing.pending is None

    asyncio.run(run())


def test_another_process_is_at_it() -> None:
    async def run() -> None:
        scene = Scene()
        scene.world.store.is_locked = True
        with pytest.raises(BusyError, match="another process is revoking"):
            await scene.revoker.revoke(COMPROMISE)
        assert scene.world.store.texts.keys() == {"certificates/site"}
        # Which ends before it is done: found at the next look.
        scene.world.store.is_locked = False
        pending = Revocation(scene.first.chain, "first", scene.first.directory, COMPROMISE)
        scene.world.store.texts[KEPT] = json.dumps({"version": 1, "chain": pending.chain, "reason": 1} | {
            "issuer": pending.issuer, "directory": pending.directory
        })  # fmt: skip
        await scene.lives()
        assert scene.revoked == [(scene.first.chain, COMPROMISE)]
        assert min(scene.asked) <= BEGINNING + timedelta(hours=2)

    asyncio.run(run())


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 2}', '{"version": 1, "chain": "x"}'])
def test_what_cannot_be_read_is_told_and_left(text) -> None:
    async def run() -> None:
        scene = Scene(until=DAY)
        scene.world.store.texts[KEPT] = text
        with pytest.raises(StoreError, match="cannot be read"):
            await scene.revoker.revoke(COMPROMISE)
        await scene.lives()
        assert scene.world.store.texts[KEPT] == text
        assert "revocations/site" in scene.revoker.standing.error
        assert scene.in_place == scene.first.chain

    asyncio.run(run())


def test_an_issuer_that_is_none_any_more() -> None:
    async def run() -> None:
        scene = Scene()
        scene.keeper.wanted = World(90, "other").wanted
        with pytest.raises(IssueError, match="first has issued it, and is none of its issuers any more"):
            await scene.revoker.revoke(COMPROMISE)
        assert KEPT not in scene.world.store.texts
        assert scene.in_place == scene.first.chain

    asyncio.run(run())
