"""Each source that is asked over HTTP, by the running process: endpoints come, change, and stay when it is gone."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import pytest

from ..support.balancer import run_verb
from ..support.json_server import Answer, Asked, Reply, serving
from ..support.load import Load
from ..support.wire import DEADLINE
from .test_discovery import has, text


class Inventory:
    """What is in service; its APIs answer in a thread of their own."""

    def __init__(self, *endpoints: object) -> None:
        self.endpoints = [str(each) for each in endpoints]
        self.version = 1
        self.loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._running = AsyncExitStack()
        self._thread = threading.Thread(target=self.loop.run_forever, name="inventory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(DEADLINE)

    def start(self, answer: Answer, socket: Path | None = None) -> str:
        """Serves; where."""
        return self._run(self._running.enter_async_context(serving(answer, socket)))

    def stop(self) -> None:
        """Nobody answers any more, and who is being answered is cut off."""

        async def stop() -> None:
            await self._running.aclose()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._run(stop())

    def say(self, *endpoints: object) -> None:
        """Has these endpoints from now on."""

        async def say() -> None:
            self.endpoints, self.version = [str(each) for each in endpoints], self.version + 1
            self._changed.set()
            self._changed = asyncio.Event()

        self._run(say())

    async def http(self, asked: Asked) -> Reply:
        """A document with an ETag."""
        tag = f'"{self.version}"'
        return Reply(304 if asked.headers.get("if-none-match") == tag else 200, self.endpoints, {"ETag": tag})

    async def consul(self, asked: Asked) -> Reply:
        """A service, by blocking queries."""
        while asked.query.get("index") == str(self.version):
            await self._changed.wait()
        services = [{"Address": ip, "Port": int(port)} for ip, port in self._pairs()]
        body = [{"Node": {"Address": "127.0.0.1"}, "Service": service} for service in services]
        return Reply(body=body, headers={"X-Consul-Index": str(self.version)})

    async def docker(self, asked: Asked) -> Reply:
        """Containers and their events."""
        if asked.path == "/events":
            return Reply(pieces=self._events())
        return Reply(
            body=[
                {"Id": "0123456789ab", "Names": ["/app"], "Labels": {"evenly.pool": "app", "evenly.port": port}}
                | {"NetworkSettings": {"Networks": {"front": {"IPAddress": ip}}}}
                for ip, port in self._pairs()
            ]
        )

    async def _events(self) -> Any:
        while True:
            await self._changed.wait()
            yield json.dumps({"Type": "container", "Action": "start"}) + "\n"

    def _pairs(self) -> list[tuple[str, str]]:
        return [(ip, port) for ip, _, port in (each.rpartition(":") for each in self.endpoints)]

    def _run(self, work: Awaitable[Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(DEADLINE)  # type: ignore[arg-type]


@pytest.fixture
def inventory() -> Iterator[Callable[..., Inventory]]:
    """Starts an inventory with endpoints."""
    running: list[Inventory] = []

    def start(*endpoints: object) -> Inventory:
        running.append(Inventory(*endpoints).__enter__())
        return running[-1]

    yield start
    for each in running:
        each.__exit__()


def asking(known: Inventory, kind: str, directory: Path) -> str:
    """The option that names it."""
    where = {
        "http": lambda: f'url = "{known.start(known.http)}/app.json", interval = "50ms"',
        "consul": lambda: f'url = "{known.start(known.consul)}", service = "app"',
        "docker": lambda: f'socket = "{known.start(known.docker, directory / "docker.sock")}"',
    }[kind]()
    return f'{{ type = "{kind}", {where}, retry_min = "50ms", retry_max = "100ms" }}'


@pytest.mark.parametrize("kind", ["consul", "docker"])
def test_one_bad_entry_does_not_freeze_the_pool(run, port, servers, inventory, tmp_path, kind: str) -> None:
    """What has left the source leaves the pool, although another entry is no endpoint."""
    backends = servers("a", "b")
    known = inventory(*backends)
    balancer = run(text(port(), asking(known, kind, tmp_path)))
    has(balancer, *backends)
    known.say("127.0.0.1:0", backends[1])
    has(balancer, backends[1])
    assert "0" in balancer.wait_log("endpoints left out", pool="app", unusable=1)["problem"]
    assert balancer.status()["pools"][0]["discovery"]["left_out"] == 1
    assert balancer.metric("evenly_discovery_left_out_endpoints", pool="app") == 1
    assert "1 left out" in run_verb("status", "--admin", str(balancer.admin_path)).stdout
    known.say("127.0.0.1:0")
    assert "0" in balancer.wait_log("discovery failed", pool="app", reason="invalid")["problem"]
    has(balancer, backends[1])


@pytest.mark.parametrize("kind", ["http", "consul", "docker"])
def test_each_source(run, port, servers, inventory, tmp_path, kind: str) -> None:
    """Changes under load, and then the source's end: no request fails."""
    backends = servers("a", "b", "c")
    known = inventory(backends[0], backends[1])
    bound = port()
    balancer = run(text(bound, asking(known, kind, tmp_path)))
    has(balancer, backends[0], backends[1])
    with Load(bound, connections=4) as load:
        for turn in range(6):
            chosen = (backends[turn % 3], backends[(turn + 1) % 3])
            known.say(*chosen)
            has(balancer, *chosen)
            load.wait_for(30)
        known.stop()
        balancer.wait_log("discovery failed", pool="app", reason="unreachable")
        load.wait_for(30)
        has(balancer, *chosen)
    load.assert_clean()
    assert balancer.metric("evenly_discovery_up", pool="app", type=kind) == 0
