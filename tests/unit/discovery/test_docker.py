"""Endpoints from Docker, asked of a small server on a Unix socket that answers as its API does, events included."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from evenly.discovery.docker import containers
from evenly.discovery.source import SourceError

from tests.support.json_server import Asked, Reply, serving
from tests.unit.discovery.asking import options, source, watching


def container(address: str, *ports: int, networks: dict[str, str] | None = None, **labels: str) -> dict[str, Any]:
    """An entry of `/containers/json`, as far as it matters."""
    attached = {"bridge": address} if networks is None else networks
    return {
        "Id": "4f66ad9a0b2e" * 5,
        "Names": ["/app-1"],
        "Labels": {name.replace("_", "."): value for name, value in labels.items()},
        "Ports": [{"PrivatePort": port, "Type": "tcp"} for port in ports] + [{"PrivatePort": 53, "Type": "udp"}],
        "NetworkSettings": {"Networks": {name: {"IPAddress": ip} for name, ip in attached.items()}},
    }


class Docker:
    """Lists containers, and sends an event when told to."""

    def __init__(self) -> None:
        self.containers = [container("172.17.0.2", 80)]
        self.asked: list[Asked] = []
        self.ends = False
        self._event = asyncio.Event()

    def happen(self, *listed: dict[str, Any]) -> None:
        self.containers = list(listed)
        self._event.set()

    async def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if asked.path == "/events":
            return Reply(pieces=self._events())
        return Reply(body=self.containers)

    async def _events(self) -> AsyncIterator[str]:
        while True:
            await self._event.wait()
            self._event.clear()
            if self.ends:
                return
            yield json.dumps({"Type": "container", "Action": "start"}) + "\n"


def test_an_event_shows_at_once(tmp_path: Path) -> None:
    async def ask() -> None:
        docker = Docker()
        async with (
            serving(docker.answer, tmp_path / "docker.sock") as path,
            watching(source(type="docker", socket=path)) as watched,
        ):
            assert await watched.addresses() == ["172.17.0.2:80"]
            docker.happen(container("172.17.0.3", 8080, evenly_weight="4", evenly_zone="b"))
            found = await watched.endpoints()
            assert [(str(each.address), each.weight, each.zone) for each in found] == [("172.17.0.3:8080", 4, "b")]
        # Subscribed before the list, so that nothing between the two is missed.
        assert [asked.path for asked in docker.asked] == ["/events", "/containers/json", "/containers/json"]
        filters = [json.loads(asked.query["filters"]) for asked in docker.asked[:2]]
        assert filters[0]["type"] == ["container"]
        assert "health_status" in filters[0]["event"]
        assert filters[1]["status"] == ["running"]
        assert filters[1]["health"] == ["healthy", "none"]
        assert {tuple(each["label"]) for each in filters} == {("evenly.pool=app",)}

    asyncio.run(ask())


def test_without_events_it_lists_now_and_then(tmp_path: Path) -> None:
    async def ask() -> None:
        docker = Docker()
        async with (
            serving(docker.answer, tmp_path / "docker.sock") as path,
            watching(source(type="docker", socket=path, interval="50ms", label="role=web")) as watched,
        ):
            await watched.endpoints()
            docker.containers = []
            await watched.until([])

    asyncio.run(ask())


def test_the_end_of_the_events_is_a_failure(tmp_path: Path) -> None:
    async def ask() -> None:
        docker = Docker()
        docker.ends = True
        async with (
            serving(docker.answer, tmp_path / "docker.sock") as path,
            watching(source(type="docker", socket=path)) as watched,
        ):
            await watched.endpoints()
            docker.happen()
            with pytest.raises(SourceError, match="the stream of events ended"):
                await watched.endpoints()

    asyncio.run(ask())


def test_a_docker_that_does_not_answer_is_a_failure(tmp_path: Path) -> None:
    async def answer(asked: Asked) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError("never")

    async def ask() -> None:
        async with (
            serving(answer, tmp_path / "docker.sock") as path,
            watching(source(type="docker", socket=path, timeout="50ms")) as watched,
        ):
            with pytest.raises(SourceError, match="no answer within 50ms"):
                await watched.endpoints()

    asyncio.run(ask())


def test_nobody_there_is_a_failure(tmp_path: Path) -> None:
    async def ask() -> None:
        async with watching(source(type="docker", socket=str(tmp_path / "docker.sock"))) as watched:
            with pytest.raises(SourceError, match="cannot connect"):
                await watched.endpoints()

    asyncio.run(ask())


def listed(*entries: dict[str, Any], **written: Any) -> list[str]:
    """The addresses that a list of containers gives."""
    found, _ = containers(json.dumps(entries).encode(), options(type="docker", **written))  # type: ignore[arg-type]
    return [str(each.address) for each in found]


def test_which_port() -> None:
    assert listed(container("172.17.0.2", 80, 443, evenly_port="8080")) == ["172.17.0.2:8080"]
    assert listed(container("172.17.0.2", 80, 443), port=9000) == ["172.17.0.2:9000"]
    assert listed(container("172.17.0.2", 80, evenly_port="81"), port=9000) == ["172.17.0.2:81"]
    with pytest.raises(SourceError, match=r"app-1: .* exactly one exposed TCP port; found 80, 443"):
        listed(container("172.17.0.2", 80, 443))


def test_which_network() -> None:
    both = container("", 80, networks={"front": "172.18.0.2", "back": "172.19.0.2"})
    assert listed(both) == ["172.19.0.2:80"]
    assert listed(both, network="front") == ["172.18.0.2:80"]
    assert listed(both, network="none") == []
    assert listed(container("", 80)) == []


@pytest.mark.parametrize("label", ["evenly_port", "evenly_weight"])
@pytest.mark.parametrize("value", ["x", "-1", "65536", "1e3", "9" * 5000])
def test_labels_that_are_no_numbers(label: str, value: str) -> None:
    with pytest.raises(SourceError, match="expected an integer"):
        listed(container("172.17.0.2", 80, **{label: value}))


def test_a_label_that_is_no_zone() -> None:
    with pytest.raises(SourceError, match="expected a zone's name"):
        listed(container("172.17.0.2", 80, evenly_zone="a b"))


def test_bad_containers_do_not_hold_up_the_others() -> None:
    """Nor do those that have no address yet, of which nothing is said."""
    good, choice = container("172.17.0.2", 80), container("172.17.0.3", 80, 443)
    entries = [choice, container("172.17.0.4", 80, evenly_weight="x"), {}, container("", 80), good]
    found, unusable = containers(json.dumps(entries).encode(), options(type="docker"))  # type: ignore[arg-type]
    assert [str(each.address) for each in found] == ["172.17.0.2:80"]
    assert unusable.count == 2
    assert unusable.problems == [
        "app-1: expected an integer from 0 to 65535 in evenly.weight, found 'x'",
        "app-1: expected the label evenly.port, the option `port`, or exactly one exposed TCP port; found 80, 443",
    ]


def test_what_is_no_list_of_containers() -> None:
    for raw in (b"", b"{}x", b"[1]", b'[{"NetworkSettings": 3}]'):
        with pytest.raises(SourceError, match="not what Docker answers"):
            containers(raw, options(type="docker"))  # type: ignore[arg-type]
