"""The demo's figures and what it draws; the demo itself is run end to end."""

from pathlib import Path

from evenly.cli.demo import screen
from evenly.cli.demo.figures import Figures, Sample, percentile
from evenly.cli.demo.scene import Scene
from rich.console import Console


def drawn(what: object) -> str:
    """What is printed on 80 columns."""
    console = Console(width=80)
    with console.capture() as capture:
        console.print(what)
    return capture.get()


def figures() -> Figures:
    """A second before: fast answers three times as often as slow; then it is gone."""
    counted = Figures(began=100.0)
    for number in range(40):
        counted.add(Sample(101.0 + number / 1000, "slow" if number % 4 == 0 else "fast", 0.010 + number / 1000))
    counted.act = "during"
    counted.add(Sample(102.0, "slow", 0.050))
    counted.add(Sample(102.0, None, 0.0))
    return counted


def test_live_figures_are_of_the_last_moments() -> None:
    counted = figures()
    fast = counted.live(102.0, "fast")
    assert (round(fast.rate), round(fast.share, 2)) == (15, 0.73)
    assert counted.live(102.0).share == 1.0
    later = counted.live(103.5)
    assert (later.rate, later.p99) == (0.5, 0.050)
    assert counted.live(200.0).rate == 0.0


def test_shares_are_kept_for_each_act() -> None:
    counted = figures()
    assert counted.share("before", "fast") == 0.75
    assert counted.share("during", "fast") == 0.0
    assert counted.share("after", "fast") is None
    assert (counted.requests, counted.errors) == (42, 1)


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, percent) for percent in (50, 99, 100)] == [50.0, 99.0, 100.0]
    assert percentile([7.0], 99) == 7.0
    assert percentile([], 50) == 0.0


def test_the_screen_fits_on_80_columns(tmp_path: Path) -> None:
    scene = Scene(tmp_path, lambda *_: None)
    story = screen.Story()
    story.rates.extend([0.0, 500.0, 1000.0] * 30)
    story.note(3.0, "fast is killed (process 4242)", "red")
    text = drawn(screen.live(scene, figures(), story, 102.0))
    assert max(map(len, (line for line in text.splitlines() if str(tmp_path) not in line))) <= 80
    assert "3.0 s  fast is killed" in text
    assert "1 errors" in text
    assert "▁▅█" in text


def test_the_summary_says_what_was_shown(tmp_path: Path) -> None:
    scene = Scene(tmp_path, lambda *_: None)
    text = drawn(screen.summary(scene, figures(), 1.04, None))
    assert "42 requests, 1 errors" in text
    assert "fast was out of rotation 1.0 s after it was killed" in text
    (row,) = [line for line in text.splitlines() if line.startswith("fast (12 ms)")]
    assert row.split()[3:] == ["75%", "0%", "-"]
