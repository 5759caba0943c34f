"""Endpoints from Consul, asked of a small server that answers as its HTTP API does, blocking queries included."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from evenly.discovery.consul import next_index
from evenly.discovery.source import SourceError

from tests.support.json_server import Asked, Reply, serving
from tests.unit.discovery.asking import source, watching


def instance(
    address: str, port: int, node: str = "10.9.9.9", weight: int | None = None, zone: str | None = None
) -> dict[str, Any]:
    """An entry of `/v1/health/service/NAME`, as far as it matters."""
    service: dict[str, Any] = {"ID": f"app-{port}", "Service": "app", "Address": address, "Port": port}
    if weight is not None:
        service["Weights"] = {"Passing": weight, "Warning": 1}
    if zone is not None:
        service["Meta"] = {"zone": zone}
    return {"Node": {"Node": "n", "Address": node}, "Service": service, "Checks": []}


class Consul:
    """Holds a query with the current index back until the service changes."""

    def __init__(self) -> None:
        self.index = 7
        self.instances = [instance("192.0.2.1", 80)]
        self.asked: list[Asked] = []
        self._changed = asyncio.Event()

    def change(self, *instances: dict[str, Any], index: int) -> None:
        self.instances, self.index = list(instances), index
        self._changed.set()

    async def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if asked.query.get("index") == str(self.index):
            self._changed.clear()
            await self._changed.wait()
        return Reply(body=self.instances, headers={"X-Consul-Index": str(self.index)})


def test_a_change_shows_at_once() -> None:
    async def ask() -> None:
        consul = Consul()
        async with (
            serving(consul.answer) as url,
            watching(source(type="consul", service="app", url=url, wait="10m")) as watched,
        ):
            assert await watched.addresses() == ["192.0.2.1:80"]
            consul.change(instance("", 81, weight=5), instance("2001:db8::1", 82, zone="b"), index=8)
            found = await watched.endpoints()
            assert [(str(each.address), each.weight, each.zone) for each in found] == [
                ("10.9.9.9:81", 5, None),
                ("[2001:db8::1]:82", 1, "b"),
            ]
        assert consul.asked[0].path == "/v1/health/service/app"
        assert consul.asked[0].query == {"passing": "1"}
        assert consul.asked[1].query == {"passing": "1", "index": "7", "wait": "600000ms"}

    asyncio.run(ask())


def test_what_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")

    async def ask() -> None:
        consul = Consul()
        async with serving(consul.answer) as url:
            more = {"tags": ["blue", 'a"b'], "datacenter": "east", "token_file": "token"}
            async with watching(source(tmp_path, type="consul", service="a/b", url=url, **more)) as watched:
                await watched.endpoints()
        asked = consul.asked[0]
        assert asked.path == "/v1/health/service/a%2Fb"
        assert asked.query["dc"] == "east"
        assert asked.query["filter"] == r'"blue" in Service.Tags and "a\"b" in Service.Tags'
        assert asked.headers["x-consul-token"] == "s3cret"

    asyncio.run(ask())


def test_bad_instances_do_not_hold_up_the_others() -> None:
    """No port, a name for an address, a weight and a zone that are none, and no instance at all."""
    bad: list[Any] = [
        instance("192.0.2.9", 0), instance("app.internal", 1), instance("192.0.2.9", 2, weight=70_000),
        instance("192.0.2.9", 3, zone="a b"), instance("\x1b[2J", 4), 5, {"Service": {"ID": "bare"}},
    ]  # fmt: skip

    async def ask() -> None:
        consul = Consul()
        async with serving(consul.answer) as url, watching(source(type="consul", service="app", url=url)) as watched:
            await watched.addresses()
            consul.change(*bad, instance("192.0.2.2", 80), index=8)
            assert await watched.addresses() == ["192.0.2.2:80"]
            assert watched.unusable.count == len(bad)
            told = str(watched.unusable)
            assert "app-0 on n: expected an address and port, found '192.0.2.9' and 0" in told
            assert 'app-1 on n: expected an IP address, found the name "app.internal"' in told
            assert "app-2 on n: expected a weight" in told
            assert "… and 2 more" in told
            assert told.isprintable()
            consul.change(instance("192.0.2.3", 80), index=9)
            assert await watched.addresses() == ["192.0.2.3:80"]
            assert watched.unusable.count == 0

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("last", "answered", "index"), [(0, "7", 7), (7, "9", 9), (7, "7", 7), (7, "3", 0), (0, "0", 1)]
)
def test_the_next_index(last: int, answered: str, index: int) -> None:
    assert next_index(last, answered) == index


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Reply(body=[]), "no X-Consul-Index"),
        (Reply(body={"a": 1}, headers={"X-Consul-Index": "1"}), "not what Consul answers"),
        (Reply(body=[instance("bad host", 1)], headers={"X-Consul-Index": "1"}), "expected an address and port"),
        (Reply(body=[instance("192.0.2.1", 1, weight=70_000)], headers={"X-Consul-Index": "1"}), "weight"),
        (Reply(body=[instance("192.0.2.1", 1, zone="a b")], headers={"X-Consul-Index": "1"}), "a zone's name"),
        (Reply(500, "No cluster leader"), r"500 \(No cluster leader\)"),
    ],
)
def test_no_good_answer_is_a_failure(reply: Reply, text: str) -> None:
    async def answer(_: Asked) -> Reply:
        return reply

    async def ask() -> None:
        async with serving(answer) as url, watching(source(type="consul", service="app", url=url)) as watched:
            assert watched.task is not None
            with pytest.raises(SourceError, match=text):
                await watched.task

    asyncio.run(ask())
