"""How figures are called, in which unit and with how many digits. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report import figures
from bench.session import Measured


@dataclass(frozen=True)
class Figure:
    """A unit, and the digits after the point that mean something."""

    unit: str
    digits: int


FIGURES = {
    "cpu_us": Figure("µs", 1),
    "p50_us": Figure("µs", 0),
    "p99_us": Figure("µs", 0),
    "p99.9_us": Figure("µs", 0),
    "rate": Figure("/s", 0),
    "mib_per_cpu_second": Figure("MiB/s", 0),
    "private_bytes": Figure("bytes", 0),
    "proportional_bytes": Figure("bytes", 0),
    "instructions": Figure("", 0),
    "handshake_cpu_us": Figure("µs", 1),
    "handshakes_per_cpu_second": Figure("/s", 0),
    "datagram_cpu_us": Figure("µs", 2),
    "core_percent": Figure("% of a core", 1),
    "checks_per_second": Figure("/s", 0),
}


def number(figure: str, value: float) -> str:
    """A value with its digits and without its unit: ``13.3``, ``12,345``."""
    return f"{value:,.{FIGURES[figure].digits}f}"


def with_noise(figure: str, values: Sequence[float]) -> str:
    """The median and half the range of the runs: ``13.3 ± 4 %``; nothing for no values."""
    if not values:
        return "–"
    noise = f" ± {figures.spread(values):.0%}".replace("%", " %") if len(values) > 1 else ""
    return number(figure, figures.median(values)) + noise


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """The median of the pairwise ratios with their extremes: ``0.83 (0.81–0.86)``; nothing where runs are missing."""
    if not ours or not theirs:
        return "–"
    found = figures.pairwise(ours, theirs)
    return f"{found.median:.2f} ({found.lowest:.2f}–{found.highest:.2f})"


def summary(measured: Measured) -> str:
    """One row in one line, for the terminal."""
    parts = [
        f"{label} {number(measured.figure, figures.median(values))} {FIGURES[measured.figure].unit}".rstrip()
        for label in measured.samples
        if (values := measured.values(label))
    ]
    parts += [f"{label}: {count:.0f} FAILED REQUESTS" for label, count in failures(measured).items()]
    parts += [f"{label} missing: {reason}" for label, reason in measured.missing.items()]
    return " · ".join(parts)


def failures(measured: Measured) -> dict[str, float]:
    """Requests that failed, by contender, where any did."""
    counts = {label: sum(measured.values(label, "failures")) for label in measured.samples}
    return {label: count for label, count in counts.items() if count}


def clock(seconds: float) -> str:
    """Minutes and seconds: ``7:00``."""
    return f"{round(seconds) // 60}:{round(seconds) % 60:02}"
