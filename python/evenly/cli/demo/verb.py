"""The verb, and the demo's timetable: an endpoint dies, is taken out, comes back, and is taken in again."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from evenly.cli import FAILED
from evenly.cli.demo import screen
from evenly.cli.demo.figures import Figures
from evenly.cli.demo.load import CLIENTS, keep_asking
from evenly.cli.demo.scene import Endpoint, Scene
from evenly.cli.terminal import complain, output

CYCLE_SECONDS = 20.0
"""One death and one return, when nothing says how long the demo lasts: time to watch each of the three acts."""

DIES, RETURNS = 0.3, 0.6
"""When in a cycle the endpoint dies and is started again: the rest is for it to be found healthy and used."""

LEAST_SECONDS = 6.0
"""Shorter, and the checks (every 500 ms) could not take the endpoint out and in again."""

TICK_SECONDS = 0.25

SecondsOption = Annotated[
    float | None, typer.Option("--seconds", metavar="N", min=LEAST_SECONDS, help="End by itself after that long.")
]


def demo(seconds: SecondsOption = None) -> None:
    """Show three endpoints behind one balancer, in this terminal: one of them dies and comes back."""
    with tempfile.TemporaryDirectory(prefix="evenly-demo-") as directory:
        play = Play(Path(directory), seconds)
        asyncio.run(play.perform())
    if play.figures.errors:
        complain(f"{play.figures.errors} of {play.figures.requests} requests failed")
        raise typer.Exit(FAILED)


class Play:
    """One performance."""

    def __init__(self, directory: Path, seconds: float | None) -> None:
        self.scene = Scene(directory, self._state_changed)
        self.story = screen.Story()
        self.figures = Figures(time.monotonic())
        self._seconds = seconds
        self._victim = self.scene.endpoints[0]
        self._has_begun = False
        self._ended = asyncio.Event()
        self._killed: float | None = None
        self._revived: float | None = None
        self._seconds_out: float | None = None
        self._seconds_back: float | None = None

    async def perform(self) -> None:
        """Starts everything, plays until the time is up or Ctrl-C, ends everything, and sums up."""
        with self._interruptible():
            async with self.scene.running():
                output.print(screen.introduction(self.scene))
                self.figures, self._has_begun = Figures(time.monotonic()), True
                clients = [asyncio.create_task(keep_asking(self.scene.port, self.figures.add)) for _ in range(CLIENTS)]
                plot = asyncio.create_task(self._plot())
                await self._show()
                for task in (plot, *clients):
                    task.cancel()
                await asyncio.gather(plot, *clients, return_exceptions=True)
        output.print(screen.summary(self.scene, self.figures, self._seconds_out, self._seconds_back))

    async def _plot(self) -> None:
        """What happens to the victim, once or over and over."""
        cycle = self._seconds or CYCLE_SECONDS
        while True:
            self.figures.act = "before"
            await asyncio.sleep(cycle * DIES)
            process = self._victim.process
            self._say(f"{self._victim.name} is killed (process {process.pid if process else '-'})", "bold red")
            self.figures.act, self._killed, self._revived = "during", time.monotonic(), None
            await self._victim.kill()
            await asyncio.sleep(cycle * (RETURNS - DIES))
            await self._victim.start()
            self._revived = time.monotonic()
            self._say(f"{self._victim.name} is started again", "bold")
            await asyncio.sleep(cycle * (1 - RETURNS))

    def _state_changed(self, endpoint: Endpoint, reason: str) -> None:
        """Evenly's log says that an endpoint is in or out; until the play has begun, that is no news."""
        if not self._has_begun:
            return
        now = time.monotonic()
        because = f": {reason}" if reason else ""
        if endpoint is self._victim and endpoint.state == "unhealthy" and self._killed is not None:
            self._seconds_out = now - self._killed
            self._say(f"Evenly takes {endpoint.name} out after {self._seconds_out:.1f} s{because}", "yellow")
        elif endpoint is self._victim and endpoint.state == "healthy" and self._revived is not None:
            self._seconds_back = now - self._revived
            self.figures.act = "after"
            self._say(f"Evenly takes {endpoint.name} in again after {self._seconds_back:.1f} s", "green")
        else:
            self._say(f"{endpoint.name} is {endpoint.state}{because}", "dim")

    async def _show(self) -> None:
        """Draws until the end."""
        if not output.is_terminal:
            await self._show_lines()
            return
        with Live(console=output, auto_refresh=False, transient=True) as shown:
            while not self._is_over():
                now = time.monotonic()
                self.story.rates.append(self.figures.live(now).rate)
                shown.update(screen.live(self.scene, self.figures, self.story, now), refresh=True)
                await self._tick(TICK_SECONDS)

    async def _show_lines(self) -> None:
        while not self._is_over():
            await self._tick(1.0)
            output.print(screen.progress(self.scene, self.figures, time.monotonic()), soft_wrap=True)

    async def _tick(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    def _is_over(self) -> bool:
        late = self._seconds is not None and time.monotonic() - self.figures.began >= self._seconds
        return late or self._ended.is_set()

    def _say(self, text: str, style: str) -> None:
        seconds = time.monotonic() - self.figures.began
        self.story.note(seconds, text, style)
        if not output.is_terminal:
            output.print(f"{seconds:5.1f} s  {text}", style=style, soft_wrap=True)

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the play, not the program: everything that was started is still ended in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._ended.set)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
