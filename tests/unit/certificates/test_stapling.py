"""The life of one certificate's answers, in simulated time: half-lives, failures, ends, revocation."""

import asyncio
from datetime import timedelta

import pytest
from cryptography import x509
from evenly.certificates.ocsp import OcspError, RevokedError, Subject, judge, question, subject_of
from evenly.certificates.stapling import Stapling

from ...support.authority import Authority
from ...support.ocsp import Answers, names_responder
from .simulated import BEGINNING, DAY, MemoryStore, SimulatedClock

HOUR = timedelta(hours=1)


class Life:
    """One certificate and a responder in memory: `kinds` says from when on it answers what."""

    def __init__(self, tmp_path, until: timedelta, store: MemoryStore | None = None, **kinds: timedelta) -> None:
        authority = Authority(tmp_path)
        self.answers = Answers(authority)
        files = authority.issue("shop.test", more=[names_responder("http://ocsp.test/")])
        subject = subject_of(files.cert.read_text())
        assert subject is not None
        self.subject: Subject = subject
        self.clock = SimulatedClock(BEGINNING + until)
        self.store = MemoryStore() if store is None else store
        self.kinds = kinds
        self.asked: list[timedelta] = []
        self.shown: list[tuple[timedelta, bool]] = []

    def lives(self, draw: float = 0.5) -> Stapling:
        """Until the clock has come to its end."""

        async def ask(subject: Subject) -> bytes:
            self.asked.append(self.clock.time - BEGINNING)
            kind = [kind for kind, since in self.kinds.items() if since <= self.asked[-1]][-1]
            if kind == "dead":
                raise OcspError("dead")
            return self.answers.make(kind, question(subject), now=self.clock.time)

        async def run() -> Stapling:
            stapling = Stapling("site", self.subject, ask, self.store, changed, self.clock, lambda: draw)
            stapling_of.append(stapling)
            task = asyncio.create_task(stapling.run())
            ended = asyncio.create_task(self.clock.ended.wait())
            await asyncio.wait([task, ended], return_when=asyncio.FIRST_COMPLETED)
            assert not task.done(), task.exception()
            task.cancel()
            return stapling

        def changed() -> None:
            self.shown.append((self.clock.time - BEGINNING, stapling_of[-1].standing.answer is not None))

        stapling_of: list[Stapling] = []
        return asyncio.run(run())


def test_asked_again_half_way(tmp_path) -> None:
    """Answers are good for four days here; a twentieth earlier than half way, as was drawn."""
    life = Life(tmp_path, 10 * DAY, good=0 * DAY)
    life.lives()
    step = 4 * DAY * 0.45
    assert life.asked == [step * number for number in range(len(life.asked))]
    assert len(life.asked) == 6
    assert all(there for _, there in life.shown)


def test_a_dead_responder_is_asked_ever_more_rarely_and_the_answer_goes_when_its_time_is_over(tmp_path) -> None:
    life = Life(tmp_path, 5 * DAY, good=0 * DAY, dead=1 * HOUR)
    standing = life.lives(draw=0.9999).standing
    assert life.shown == [(0 * DAY, True), (4 * DAY, False)]
    pauses = [after - before for before, after in zip(life.asked[1:], life.asked[2:], strict=False)]
    assert pauses[0] < timedelta(minutes=1.01)
    assert all(pause <= HOUR for pause in pauses)
    assert pauses[1] > 1.9 * pauses[0]
    assert standing.failures == len(life.asked) - 1
    assert standing.answer is None


def test_revoked_at_once_and_also_after_a_restart(tmp_path) -> None:
    """What was good is not shown any more, although its time is not over."""
    life = Life(tmp_path, 3 * DAY, good=0 * DAY, revoked=1 * DAY)
    standing = life.lives().standing
    assert standing.is_revoked
    assert [there for _, there in life.shown] == [True, False]
    assert life.shown[1][0] < 2 * DAY
    life.clock = SimulatedClock(BEGINNING + DAY)
    life.kinds = {"dead": 0 * DAY}
    assert life.lives().standing.answer is None


def test_a_restart_goes_on_with_what_is_kept(tmp_path) -> None:
    life = Life(tmp_path, 1 * HOUR, good=0 * DAY)
    life.lives()
    assert len(life.asked) == 1
    life.clock = SimulatedClock(BEGINNING + 1 * DAY)
    assert life.lives().standing.answer is not None
    assert len(life.asked) == 1
    # Too late for it.
    life.clock = SimulatedClock(BEGINNING + 6 * DAY)
    life.clock.time += 5 * DAY
    life.lives()
    assert len(life.asked) == 2


@pytest.mark.parametrize("kind", ["good", "delegated"])
def test_believed(tmp_path, kind) -> None:
    life = Life(tmp_path, DAY)
    answer = judge(life.answers.make(kind, question(life.subject), now=BEGINNING), life.subject, BEGINNING)
    assert (answer.begins, answer.ends) == (BEGINNING, BEGINNING + 4 * DAY)


def test_any_byte_that_is_changed_is_noticed(tmp_path) -> None:
    """Of what was signed, and of the signature; what stands around that decides nothing."""
    life = Life(tmp_path, DAY)
    raw = life.answers.make("good", question(life.subject), now=BEGINNING)
    judge(raw, life.subject, BEGINNING)
    begin = raw.index(x509.ocsp.load_der_ocsp_response(raw).tbs_response_bytes)
    for place in range(begin, len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        try:
            judge(changed, life.subject, BEGINNING)
        except OcspError:
            continue
        pytest.fail(f"byte {place} of {len(raw)}")


def test_revoked_is_told_apart(tmp_path) -> None:
    life = Life(tmp_path, DAY)
    raw = life.answers.make("revoked", question(life.subject), now=BEGINNING)
    with pytest.raises(RevokedError, match="on 2026-01-01"):
        judge(raw, life.subject, BEGINNING)
