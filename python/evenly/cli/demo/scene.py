"""The demo's processes: three endpoints and one balancer, each started as anybody would start it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenly.cli.client import AdminRequestError

START_SECONDS = 20.0
"""For a process to start; a busy machine may take seconds to load a Python."""

CONFIGURATION = """\
[listeners.web]
bind = "127.0.0.1:{port}"

[pools.app]
endpoints = [{endpoints}]
balance = "least-requests" # the fast one gets more
health_check = {{ type = "http", path = "/healthz", interval = "500ms" }}

[admin]
bind = "{admin}"
"""


@dataclass
class Endpoint:
    """A sample endpoint: its speed, its place, and its process while it lives."""

    name: str
    milliseconds: float
    port: int = 0
    process: asyncio.subprocess.Process | None = None
    state: str = "starting"
    """What the balancer last said about it."""

    @property
    def address(self) -> str:
        """As the balancer names it."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Starts it; where it was before, if it ran before."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "evenly.cli.demo.endpoint", self.name, str(self.milliseconds), str(self.port)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # Ctrl-C is the demo's to handle; it ends the others in order.
            process_group=0,
        )
        if self.process.stdout is None:
            raise AssertionError("its output was asked for")
        async with asyncio.timeout(START_SECONDS):
            self.port = int(await self.process.stdout.readline())

    async def kill(self) -> None:
        """Ends it as a crash would, in the middle of what it does."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


class Scene:
    """Endpoints and a balancer that are running. `on_state` is told of every endpoint that changes its state."""

    def __init__(self, directory: Path, on_state: Callable[[Endpoint, str], None]) -> None:
        self.endpoints = [Endpoint("fast", 12), Endpoint("medium", 24), Endpoint("slow", 48)]
        self.port = _free_port()
        self.admin = str(directory / "admin.sock")
        self.file = directory / "evenly.toml"
        self.configuration = ""
        self._on_state = on_state
        self._serving = asyncio.Event()
        self._complaints: list[str] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Starts everything, and ends it at the block's end."""
        async with contextlib.AsyncExitStack() as undo:
            for endpoint in self.endpoints:
                undo.push_async_callback(endpoint.kill)
            await asyncio.gather(*(endpoint.start() for endpoint in self.endpoints))
            endpoints = ", ".join(f'"{endpoint.address}"' for endpoint in self.endpoints)
            self.configuration = CONFIGURATION.format(port=self.port, endpoints=endpoints, admin=self.admin)
            await asyncio.to_thread(self.file.write_text, self.configuration)
            await undo.enter_async_context(self._balancer())
            yield

    @contextlib.asynccontextmanager
    async def _balancer(self) -> AsyncIterator[None]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "evenly", "run", str(self.file)),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            process_group=0,
        )
        reading = asyncio.create_task(self._read_log(process))
        try:
            serving = asyncio.create_task(self._serving.wait())
            await asyncio.wait({serving, reading}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            serving.cancel()
            if not self._serving.is_set():
                raise AdminRequestError("the demo's balancer did not start:\n" + "\n".join(self._complaints))
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), START_SECONDS)
            except TimeoutError:
                process.kill()
            await reading

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        """Follows the balancer's log: JSON lines, as it is no terminal that they go to."""
        if process.stderr is None:
            raise AssertionError("its log was asked for")
        async for line in process.stderr:
            try:
                event: dict[str, Any] = json.loads(line)
            except ValueError:
                self._complaints.append(line.decode(errors="replace").rstrip())
                continue
            if event.get("event") == "serving":
                self._serving.set()
            elif event.get("event") == "endpoint":
                self._note_state(event)

    def _note_state(self, event: dict[str, Any]) -> None:
        for endpoint in self.endpoints:
            if endpoint.address == event["endpoint"]:
                endpoint.state = event["to"]
                self._on_state(endpoint, event["reason"])


def _free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
