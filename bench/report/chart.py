"""Draws docs/benchmarks.svg: CPU time per request beside Evenly's. Pure, no library."""

from collections.abc import Sequence
from html import escape

from bench.report import figures
from bench.report.goals import OURS
from bench.session import Measured

# Colours that stay apart for colour-blind readers (Okabe and Ito, 2008).
COLOURS = {OURS: "#0072b2", "haproxy": "#e69f00", "nginx": "#009e73", "envoy": "#cc79a7"}

LEFT, RIGHT, TOP = 300, 70, 64
BAR, GAP = 13, 16
WIDTH = 900
# Letters that fit beside the bars, and pixels from one line of them to the next.
LONGEST_LINE, LINE = 40, 15

# Beyond this the bar is cut and only its number tells: one long bar would make all others look alike.
LONGEST = 4.0


def chart(rows: Sequence[Measured]) -> str:
    """Bars for every row that Evenly and a peer have in common; the floor is a line. An SVG document."""
    drawn = [row for row in rows if row.values(OURS) and any(row.values(label) for label in COLOURS if label != OURS)]
    parts = [
        _text(16, 26, "CPU time per request, relative to Evenly (less is better)", size=17, weight="bold"),
        _legend(),
    ]
    y = TOP
    for row in drawn:
        height, shapes = _group(row, y)
        parts += shapes
        y += height + GAP
    parts.append(_line(_x(1), TOP - 6, y - GAP + 6, "#0072b2", "1"))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 8}" font-family="sans-serif" role="img">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{y + 8}" fill="#ffffff"/>', *parts, "</svg>"]) + "\n"


def _group(row: Measured, y: int) -> tuple[int, list[str]]:
    ours = row.values(OURS)
    labels = [label for label in COLOURS if row.values(label)]
    height = BAR * len(labels)
    lines = _broken(row.title)
    middle = y + height / 2 + 4 - LINE / 2 * (len(lines) - 1)
    shapes = [_text(LEFT - 10, middle + LINE * index, line, anchor="end") for index, line in enumerate(lines)]
    for index, label in enumerate(labels):
        ratio = 1 / figures.pairwise(ours, row.values(label)).median
        top = y + BAR * index
        width = _x(min(ratio, LONGEST)) - LEFT
        shapes.append(f'<rect x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR - 2}" fill="{COLOURS[label]}"/>')
        note = f"{figures.median(ours):,.1f} µs" if label == OURS else f"{ratio:.2f}"
        shapes.append(_text(LEFT + width + 5, top + 10, note, size=11))
    if floor := row.values("floor"):
        shapes.append(_line(_x(1 / figures.pairwise(ours, floor).median), y - 3, y + height + 1, "#333333", "3 2"))
    return height, shapes


def _broken(title: str) -> list[str]:
    """A title in lines that fit beside the bars, broken at a comma."""
    places = [place + 1 for place, letter in enumerate(title) if letter == ","]
    if len(title) <= LONGEST_LINE or not places:
        return [title]
    place = min(places, key=lambda place: abs(place - len(title) / 2))
    return [title[:place], title[place:].strip()]


def _legend() -> str:
    parts = []
    for index, (label, colour) in enumerate(COLOURS.items()):
        x = LEFT + index * 95
        parts += [f'<rect x="{x}" y="38" width="11" height="11" fill="{colour}"/>', _text(x + 16, 48, label)]
    x = LEFT + len(COLOURS) * 95
    parts += [_line(x + 5, 36, 51, "#333333", "3 2"), _text(x + 14, 48, "floor (a relay that reads nothing)")]
    return "\n".join(parts)


def _x(ratio: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * ratio / LONGEST


def _line(x: float, top: float, bottom: float, colour: str, dashes: str) -> str:
    return f'<path d="M{x:.1f} {top}V{bottom}" stroke="{colour}" stroke-dasharray="{dashes}"/>'


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 13, weight: str = "normal") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}"'
    return f'<text {place} fill="#222222">{escape(words)}</text>'
