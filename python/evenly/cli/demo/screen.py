"""How the demo looks: a live table on a terminal, lines elsewhere, and a summary at the end."""

from __future__ import annotations

from collections import deque

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from evenly.cli.demo.figures import Figures
from evenly.cli.demo.scene import Endpoint, Scene
from evenly.cli.status_table import STATE_STYLES, bar, plain_table

COLOURS = ("cyan", "blue", "magenta")
_LEVELS = "▁▂▃▄▅▆▇█"
_CURVE_COLUMNS = 60
_NOTES_SHOWN = 8


class Story:
    """What has happened, and how the rate went: the part of the screen that has a past."""

    def __init__(self) -> None:
        self.notes: list[tuple[float, str, str]] = []
        self.rates: deque[float] = deque(maxlen=_CURVE_COLUMNS)

    def note(self, seconds: float, text: str, style: str = "") -> None:
        """Remembers an event, `seconds` after the beginning."""
        self.notes.append((seconds, text, style))

    def curve(self) -> str:
        """The rates as a line of bars, the highest at full height."""
        top = max(self.rates, default=0.0)
        if top <= 0:
            return ""
        return "".join(_LEVELS[round(rate / top * (len(_LEVELS) - 1))] for rate in self.rates)


def introduction(scene: Scene) -> RenderableType:
    """The configuration that the demo runs."""
    code = Syntax(scene.configuration.rstrip(), "toml", theme="ansi_dark", background_color="default", word_wrap=True)
    return Panel(code, title="evenly.toml", title_align="left", border_style="dim", width=80)


def live(scene: Scene, figures: Figures, story: Story, now: float) -> RenderableType:
    """The whole screen."""
    total = figures.live(now)
    errors = Text(f"{figures.errors:,} errors", "bold red" if figures.errors else "green")
    return Group(
        Text.assemble(("Evenly demo", "bold"), f" · three endpoints behind http://127.0.0.1:{scene.port}/\n"),
        _endpoints(scene, figures, now),
        Text.assemble(
            f"\n{total.rate:,.0f} requests a second · {figures.requests:,} so far · ",
            errors,
            "\n",
            (story.curve(), "cyan"),
        ),
        Text(),
        *(Text(f"{seconds:5.1f} s  {text}", style) for seconds, text, style in story.notes[-_NOTES_SHOWN:]),
        Text.assemble(
            ("\nCtrl-C ends the demo. Meanwhile, in another terminal:", "dim"),
            f"\n  curl -i http://127.0.0.1:{scene.port}/",
            f"\n  evenly status --watch --admin {scene.admin}",
        ),
    )


def progress(scene: Scene, figures: Figures, now: float) -> str:
    """One line for where there is no terminal."""
    shares = "  ".join(f"{each.name} {figures.live(now, each.name).share:.0%}" for each in scene.endpoints)
    total = figures.live(now)
    return (
        f"{now - figures.began:5.1f} s  {total.rate:,.0f} requests/s  {shares}  "
        f"p99 {total.p99 * 1000:.0f} ms  {figures.errors:,} errors"
    )


def summary(scene: Scene, figures: Figures, seconds_out: float | None, seconds_back: float | None) -> RenderableType:
    """What the demo showed, in figures."""
    table = plain_table()
    table.add_column("share of requests", min_width=20)
    for act in ("before", "while it is down", "after"):
        table.add_column(act, justify="right")
    for endpoint in scene.endpoints:
        shares = (figures.share(act, endpoint.name) for act in ("before", "during", "after"))
        table.add_row(
            f"{endpoint.name} ({endpoint.milliseconds:g} ms)", *("-" if s is None else f"{s:.0%}" for s in shares)
        )
    victim = scene.endpoints[0].name
    lines = [f"{figures.requests:,} requests, {figures.errors:,} errors"]
    if seconds_out is not None:
        lines.append(f"{victim} was out of rotation {seconds_out:.1f} s after it was killed")
    if seconds_back is not None:
        lines.append(f"{victim} was back in rotation {seconds_back:.1f} s after it was started again")
    return Group(Text(), table, Text(), *(Text(line, "bold" if index == 0 else "") for index, line in enumerate(lines)))


def _endpoints(scene: Scene, figures: Figures, now: float) -> Table:
    table = plain_table()
    table.add_column("endpoint", min_width=8)
    table.add_column("address")
    table.add_column("state", min_width=9)
    table.add_column("req/s", justify="right", min_width=6)
    table.add_column("share", min_width=18, no_wrap=True)
    table.add_column("p50", justify="right", min_width=8)
    table.add_column("p99", justify="right", min_width=8)
    for endpoint, colour in zip(scene.endpoints, COLOURS, strict=True):
        table.add_row(*_row(endpoint, figures, now, colour))
    return table


def _row(endpoint: Endpoint, figures: Figures, now: float, colour: str) -> list[RenderableType]:
    own = figures.live(now, endpoint.name)
    answers = own.rate > 0
    return [
        Text(endpoint.name, f"bold {colour}"),
        endpoint.address,
        Text(endpoint.state, STATE_STYLES.get(endpoint.state, "")),
        f"{own.rate:,.0f}",
        Text.assemble((bar(own.share, 13), colour), f"{own.share:5.0%}"),
        f"{own.p50 * 1000:.1f} ms" if answers else "-",
        f"{own.p99 * 1000:.1f} ms" if answers else "-",
    ]
