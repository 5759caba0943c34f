"""What all sources share: the last good endpoints stay, failures are told once, and bounds hold."""

import asyncio
from typing import Any

import pytest
from evenly.config.schema import Endpoint, EndpointAddress
from evenly.discovery.backoff import Backoff
from evenly.discovery.bounds import take
from evenly.discovery.source import Report, SourceError, Unusable
from evenly.discovery.watcher import Known, Watcher
from structlog.testing import capture_logs

from tests.unit.discovery.asking import DEADLINE, options

Step = list[str] | tuple[list[str], Unusable] | Exception


def endpoints(*addresses: str) -> list[Endpoint]:
    """Endpoints with these addresses."""
    return [Endpoint(address=EndpointAddress.parse(address)) for address in addresses]


class Scripted:
    """Answers and fails as the script says, and then rests."""

    name = "scripted"

    def __init__(self, *script: Step) -> None:
        self._script = list(script)
        self.done = asyncio.Event()

    async def watch(self, report: Report) -> None:
        while self._script:
            step = self._script.pop(0)
            if isinstance(step, Exception):
                raise step
            addresses, unusable = step if isinstance(step, tuple) else (step, None)
            report(endpoints(*addresses), unusable)
        self.done.set()
        await asyncio.Event().wait()


def played(*script: Step, known: Known | None = None, **written: Any) -> tuple[Watcher, int, list[Any]]:
    """A watcher after a script, how often it said that something changed, and what it logged."""
    changes = 0

    def changed() -> None:
        nonlocal changes
        changes += 1

    async def play() -> Watcher:
        source = Scripted(*script)
        chosen = options(type="file", path="a.json", retry_min="50ms", retry_max="50ms", **written)
        watcher = Watcher("app", chosen, source, known, changed)
        running = asyncio.create_task(watcher.run())
        async with asyncio.timeout(DEADLINE):
            await source.done.wait()
        running.cancel()
        return watcher

    with capture_logs() as logs:
        return asyncio.run(play()), changes, logs


def standing(watcher: Watcher) -> list[str]:
    """The addresses that stand."""
    known = watcher.standing.known
    return [] if known is None else [str(each.address) for each in known.endpoints]


def test_a_failing_source_keeps_the_last_good_endpoints() -> None:
    down = SourceError("timeout", "no answer")
    watcher, changes, logs = played(["192.0.2.1:80"], down, down, down)
    assert standing(watcher) == ["192.0.2.1:80"]
    assert changes == 1
    assert (watcher.standing.error, watcher.standing.failures) == ("no answer", {"timeout": 3})
    failures = [entry for entry in logs if entry["event"] == "discovery failed"]
    assert len(failures) == 1
    assert failures[0]["kept"] == 1


def test_it_recovers_by_itself() -> None:
    watcher, changes, logs = played(["192.0.2.1:80"], SourceError("timeout", "no answer"), ["192.0.2.1:80"])
    assert (watcher.standing.error, watcher.standing.answers, changes) == ("", 2, 1)
    assert [entry["event"] for entry in logs] == ["endpoints found", "discovery failed", "discovery recovered"]


def test_order_alone_is_no_change() -> None:
    _, changes, _ = played(["192.0.2.2:80", "192.0.2.1:80"], ["192.0.2.1:80", "192.0.2.2:80", "192.0.2.1:80"])
    assert changes == 1


def test_what_was_known_before_stands_in() -> None:
    known = Known(tuple(endpoints("192.0.2.1:80")), 5.0)
    watcher, changes, _ = played(SourceError("timeout", "no answer"), known=known)
    assert (standing(watcher), changes) == (["192.0.2.1:80"], 0)


def test_nothing_is_a_failure_unless_it_is_meant() -> None:
    watcher, _, _ = played(["192.0.2.1:80"], [])
    assert (standing(watcher), watcher.standing.failures) == (["192.0.2.1:80"], {"empty": 1})
    watcher, changes, _ = played(["192.0.2.1:80"], [], when_empty="apply")
    assert (standing(watcher), changes) == ([], 2)


def test_a_mistake_of_ours_is_a_failure_as_well() -> None:
    watcher, _, _ = played(ZeroDivisionError("oh"), ["192.0.2.1:80"])
    assert standing(watcher) == ["192.0.2.1:80"]
    assert watcher.standing.failures == {"internal": 1}


def test_too_many_are_cut_and_told_once() -> None:
    many = [f"192.0.2.{index}:80" for index in range(9, 0, -1)]
    watcher, _, logs = played(many, many, max_endpoints=4)
    assert standing(watcher) == [f"192.0.2.{index}:80" for index in range(1, 5)]
    assert watcher.standing.beyond == 5
    assert [entry["event"] for entry in logs].count("endpoints left out") == 1


def test_what_is_unusable_is_counted_and_told_once_for_each_change() -> None:
    bad, worse = Unusable(), Unusable()
    bad.add("app-2: no port")
    for index in range(7):
        worse.add(f"app-{index}: no port")
    step = ["192.0.2.1:80"]
    watcher, _, logs = played((step, bad), (step, bad), (step, worse), (step, worse))
    assert (standing(watcher), watcher.standing.left_out) == (step, 7)
    told = [(entry["unusable"], entry["problem"]) for entry in logs if entry["event"] == "endpoints left out"]
    assert told == [(1, "app-2: no port"), (7, f"{'; '.join(worse.problems)} … and 2 more")]
    watcher, _, _ = played((step, bad), step)
    assert watcher.standing.left_out == 0
    watcher, _, _ = played(([], bad))
    assert watcher.standing.error == "the answer has no endpoints; 1 unusable"


def test_only_addresses_that_traffic_may_go_to() -> None:
    answer = endpoints("0.0.0.0:80", "224.0.0.1:80", "10.0.0.1:80", "192.0.2.1:80", "[::]:80", "[fd00::1]:80")
    taken = take(answer, options(type="file", path="a.json"))
    assert [str(each.address) for each in taken.endpoints] == ["10.0.0.1:80", "192.0.2.1:80", "[fd00::1]:80"]
    taken = take(answer, options(type="file", path="a.json", networks=["10.0.0.0/8", "fd00::/8"]))
    assert [str(each.address) for each in taken.endpoints] == ["10.0.0.1:80", "[fd00::1]:80"]
    assert taken.outside == 4


def test_a_name_is_no_address() -> None:
    with pytest.raises(SourceError, match="for names there is discovery by DNS"):
        take(endpoints("app.internal:80"), options(type="file", path="a.json"))


@pytest.mark.parametrize(("random", "share"), [(0.0, 0.5), (1.0, 1.0)])
def test_waits_double_up_to_a_bound(random: float, share: float) -> None:
    backoff = Backoff(1.0, 30.0)
    waits = [backoff.failed(random) for _ in range(2000)]
    assert waits[:6] == [share * wait for wait in (1, 2, 4, 8, 16, 30)]
    assert waits[-1] == share * 30
    backoff.succeeded()
    assert backoff.failed(random) == share
