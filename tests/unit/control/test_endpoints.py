"""Sources that are watched for a configuration: asked beforehand, followed or given up, and applied together."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from evenly.config.load import Source as Text
from evenly.config.load import load_source
from evenly.config.schema import Endpoint, EndpointAddress, Settings
from evenly.control import endpoints as module
from evenly.control.endpoints import Endpoints, found_of, known_of
from evenly.discovery.source import Place, Report, SourceError
from evenly.discovery.watcher import Known
from structlog.testing import capture_logs

DIRECTORY = Path("here")


def named(address: str) -> Endpoint:
    """The endpoint with an address."""
    return Endpoint(address=EndpointAddress.parse(address))


def endpoint(number: int) -> Endpoint:
    """An endpoint."""
    return named(f"192.0.2.{number}:80")


def settings(**paths: str) -> Settings:
    """Pools whose endpoints come from these files."""
    pools: dict[str, Any] = {
        name: {"discovery": {"type": "file", "path": path, "retry_min": "50ms"}} for name, path in paths.items()
    }
    data = {"listeners": {"web": {"bind": ":80", "protocol": "tcp", "pool": "app"}}, "pools": pools}
    return load_source(Text("test", Path(), "", data)).settings


class Played:
    """A source that the test plays: `say` makes it answer."""

    name = "played"
    all: dict[str, "Played"] = {}  # noqa: RUF012 - emptied by the fixture

    def __init__(self, options: Any, place: Place) -> None:
        Played.all[place.pool] = self
        self.path = options.path
        self.cancelled = False
        self._report: Report | None = None

    async def watch(self, report: Report) -> None:
        self._report = report
        if "answers" in self.path:
            self.say(1)
        if "fails" in self.path:
            raise SourceError("timeout", "no answer")
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled = True

    def say(self, *numbers: int) -> None:
        assert self._report is not None
        self._report([endpoint(number) for number in numbers])


@pytest.fixture(autouse=True)
def played(monkeypatch: pytest.MonkeyPatch) -> dict[str, Played]:
    """Every source is played; by pool."""
    Played.all = {}
    monkeypatch.setattr(module, "source_for", Played)
    monkeypatch.setattr(module, "FIRST_ANSWER_SECONDS", 0.2)
    return Played.all


def test_sources_are_asked_before_and_followed_after(played: dict[str, Played]) -> None:
    async def run() -> None:
        endpoints = Endpoints()
        prepared = await endpoints.prepare(settings(app="answers.json"), DIRECTORY, {})
        assert found_of(known_of(prepared)) == {"app": (endpoint(1),)}
        # Not yet: the configuration may still be refused.
        assert endpoints.known == {}
        endpoints.follow(prepared)
        assert endpoints.known["app"].endpoints == (endpoint(1),)
        status = endpoints.status("app")
        assert status is not None
        assert (status.source, status.state, status.endpoints) == ("played", "answering", 1)
        assert endpoints.status("other") is None
        await endpoints.close()
        assert played["app"].cancelled

    asyncio.run(run())


def test_a_source_that_stays_goes_on_and_others_end(played: dict[str, Played]) -> None:
    async def run() -> None:
        endpoints = Endpoints()
        endpoints.follow(await endpoints.prepare(settings(app="answers.json", other="answers2.json"), DIRECTORY, {}))
        first = dict(played)
        refused = await endpoints.prepare(settings(app="answers.json", other="answers3.json"), DIRECTORY, {})
        rejected = played["other"]
        endpoints.discard(refused)
        await asyncio.sleep(0)
        assert (rejected.cancelled, first["app"].cancelled, first["other"].cancelled) == (True, False, False)
        endpoints.follow(await endpoints.prepare(settings(app="answers.json"), DIRECTORY, {}))
        await asyncio.sleep(0)
        assert played["app"] is first["app"]
        assert (first["app"].cancelled, first["other"].cancelled) == (False, True)
        assert set(endpoints.known) == {"app"}
        await endpoints.close()

    asyncio.run(run())


def test_what_is_known_stands_in(played: dict[str, Played]) -> None:
    known = {"app": Known((endpoint(9),), 1.0)}

    async def run() -> None:
        endpoints = Endpoints()
        for path, hurry in (("fails.json", False), ("silent.json", True)):
            prepared = await endpoints.prepare(settings(app=path), DIRECTORY, known, hurry=hurry)
            assert found_of(known_of(prepared)) == {"app": (endpoint(9),)}
            endpoints.discard(prepared)
        prepared = await endpoints.prepare(settings(app="answers.json"), DIRECTORY, known)
        assert found_of(known_of(prepared)) == {"app": (endpoint(1),)}
        endpoints.discard(prepared)

    asyncio.run(run())


def test_what_is_known_is_within_the_bounds_of_now(played: dict[str, Played]) -> None:
    """They may be others than when it was found."""
    known = {"app": Known((endpoint(9), endpoint(8)), 1.0), "other": Known((named("app.internal:80"),), 1.0)}
    written = settings(app="silent.json", other="silent.json")
    bounded = written.pools["app"].discovery.model_copy(update={"max_endpoints": 1})  # type: ignore[union-attr]
    pools = written.pools | {"app": written.pools["app"].model_copy(update={"discovery": bounded})}

    async def run() -> None:
        endpoints = Endpoints()
        prepared = await endpoints.prepare(written.model_copy(update={"pools": pools}), DIRECTORY, known, hurry=True)
        assert found_of(known_of(prepared)) == {"app": (endpoint(8),)}
        endpoints.discard(prepared)

    asyncio.run(run())


def test_nothing_known_and_no_answer_is_said(played: dict[str, Played]) -> None:
    async def run() -> None:
        endpoints = Endpoints()
        endpoints.discard(await endpoints.prepare(settings(app="silent.json", other="fails.json"), DIRECTORY, {}))

    with capture_logs() as logs:
        asyncio.run(run())
    said = [(entry["pool"], entry["problem"]) for entry in logs if entry["event"] == "no endpoints yet"]
    assert said == [("app", "no answer within 0.2 s"), ("other", "no answer")]


def test_a_volley_of_changes_is_applied_once(played: dict[str, Played]) -> None:
    """And one that fails does not end the following."""
    applied = list[int]()
    seen = asyncio.Event()

    async def run() -> None:
        endpoints = Endpoints()
        endpoints.follow(await endpoints.prepare(settings(app="answers.json"), DIRECTORY, {}))

        async def apply() -> None:
            applied.append(len(endpoints.known["app"].endpoints))
            seen.set()
            if len(applied) == 1:
                raise ZeroDivisionError

        following = asyncio.create_task(endpoints.apply_changes(apply))
        for count in (50, 70):
            seen.clear()
            for number in range(1, count + 1):
                played["app"].say(*range(1, number + 1))
            async with asyncio.timeout(10):
                await seen.wait()
        following.cancel()
        await endpoints.close()

    with capture_logs() as logs:
        asyncio.run(run())
    assert applied == [50, 70]
    assert "endpoints not applied" in [entry["event"] for entry in logs]
