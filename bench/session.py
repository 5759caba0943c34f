"""One session: rows one after the other, contenders interleaved within each, every run kept."""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.peers import Contender
from bench.rows import Measure, Plan, Row, Sample
from bench.stage import Stage


@dataclass
class Measured:
    """All runs of one row: samples by contender, in the order of the rounds; and who is missing, with the reason."""

    name: str
    title: str
    figure: str
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def values(self, label: str, figure: str | None = None) -> list[float]:
        """One figure (the row's own by default) of one contender over the runs; empty where there is none."""
        name = figure or self.figure
        return [sample[name] for sample in self.samples.get(label, ()) if name in sample]


def run(
    stage: Stage,
    rows: Sequence[Row],
    names: Sequence[str],
    plan: Plan,
    began: Callable[[int, float], None],
    ended: Callable[[Measured, float], None],
) -> list[Measured]:
    """Measure the rows for the peers in ``names``.

    ``began`` gets a row's index and the seconds left in all; ``ended`` what was measured and the seconds taken.
    """
    results = []
    for index, row in enumerate(rows):
        began(index, sum(one.cost(plan, len(_wanted(one, names))) for one in rows[index:]))
        start = time.monotonic()
        measured = _run_row(stage, row, _wanted(row, names), plan)
        ended(measured, time.monotonic() - start)
        results.append(measured)
    return results


def _wanted(row: Row, names: Sequence[str]) -> list[Contender]:
    """The row's contenders whose peer was asked for."""
    return [one for one in row.contenders if one.peer.name in names]


def _run_row(stage: Stage, row: Row, wanted: Sequence[Contender], plan: Plan) -> Measured:
    measured = Measured(row.name, row.title, row.figure)
    for contender in wanted:
        reason = contender.peer.absent()
        if reason is not None:
            measured.missing[contender.label] = reason
    with row.open(stage, plan) as measure:
        for _ in range(row.runs(plan)):
            for contender in wanted:
                if contender.label not in measured.missing:
                    _run_once(measured, contender, measure)
    return measured


def _run_once(measured: Measured, contender: Contender, measure: Measure) -> None:
    """Keep one sample; a contender that fails leaves the row, because the runs of the others go on being of use."""
    try:
        sample = measure(contender)
    except (RuntimeError, ValueError, OSError, subprocess.SubprocessError) as error:
        measured.missing[contender.label] = str(error)
        measured.samples.pop(contender.label, None)
        return
    measured.samples.setdefault(contender.label, []).append(sample)
