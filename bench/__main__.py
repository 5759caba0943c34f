"""``python -m bench``: measure, keep the numbers, render the pages."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import machine, peers, record, session
from bench.peers import install
from bench.record import LATEST, PARTIAL, Results
from bench.report import chart, goals, markdown, words
from bench.rows import Plan, Row
from bench.rows.table import ROWS, chosen
from bench.session import Measured
from bench.stage import set_up

FULL = Plan(runs=5, seconds=1)
QUICK = Plan(runs=3, seconds=1)
DOCS = Path(__file__).parent.parent / "docs"


def say(line: str) -> None:
    print(line, flush=True)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; raise ``SystemExit`` with a usage message for what is not understood."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Evenly beside its peers, in one run.")
    names = ", ".join(row.name for row in ROWS)
    parser.add_argument("--rows", type=_rows, default=list(ROWS), help=f"comma-separated, or how they begin: {names}")
    parser.add_argument(
        "--peers", type=_peers, default=list(peers.NAMES), help=f"comma-separated: {', '.join(peers.NAMES)}"
    )
    parser.add_argument("--runs", type=int, help=f"runs of each contender in each row ({FULL.runs})")
    parser.add_argument("--seconds", type=int, help=f"seconds of load in each run ({FULL.seconds})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK.runs} runs: a look, not a measurement")
    parser.add_argument("--gate", action="store_true", help="end with 1 when a measured goal is missed")
    parser.add_argument("--no-install", action="store_true", help="install nothing; measure who is there")
    parser.add_argument("--render", action="store_true", help="measure nothing; render the pages from the last session")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    options = arguments(argv)
    if options.render:
        render(record.read(LATEST))
        return 0
    if not options.no_install:
        install.bring(say)
    if reason := machine.missing_cores() or peers.DIRECT.absent():
        say(f"bench: {reason}")
        return 1
    usual = QUICK if options.quick else FULL
    plan = Plan(options.runs or usual.runs, options.seconds or usual.seconds)
    rows = measure(options.rows, options.peers, plan)
    # The pages show whole sessions only; looks at single rows must not replace them.
    whole = options.rows == list(ROWS) and options.peers == list(peers.NAMES) and plan.runs >= FULL.runs
    record.write(rows, LATEST if whole else PARTIAL)
    say(f"raw numbers: {os.path.relpath(LATEST if whole else PARTIAL)}")
    if whole:
        render(rows)
    missed = judge(rows.rows)
    broken = any(goals.OURS in row.missing for row in rows.rows)
    return 1 if broken or (options.gate and missed) else 0


def measure(rows: Sequence[Row], names: Sequence[str], plan: Plan) -> Results:
    """Run the session and tell how it goes."""
    where = machine.describe()
    # This process waits and, for idle connections, is the load: it belongs to the load's core.
    os.sched_setaffinity(0, {machine.LOAD_CORE})

    def began(index: int, left: float) -> None:
        say(f"[{index + 1}/{len(rows)}] {rows[index].title} (in all about {words.clock(left)} left)")

    def ended(measured: Measured, took: float) -> None:
        say(f"    {words.summary(measured)} [{took:.0f} s]")

    with set_up() as stage:
        return record.gathered(session.run(stage, rows, names, plan, began, ended), plan, where)


def judge(rows: Sequence[Measured]) -> int:
    """Tell how the goals stand; return how many are missed."""
    verdicts = goals.verdicts({row.name: row for row in rows})
    for verdict in verdicts:
        against = f" × {verdict.goal.against}" if verdict.goal.against else ""
        mark = "met   " if verdict.met else "MISSED"
        say(f"{mark} {verdict.title}: {verdict.measured:,.2f}{against}, goal {verdict.goal.limit:,.2f}")
    return sum(not verdict.met for verdict in verdicts)


def render(found: Results) -> None:
    """Write docs/benchmarks.md, its chart, and the table in the README."""
    (DOCS / "benchmarks.md").write_text(markdown.page(found), encoding="utf-8")
    cpu = [row for row in found.rows if row.figure == "cpu_us" and not row.name.startswith("routes-")]
    (DOCS / "benchmarks.svg").write_text(chart.chart(cpu), encoding="utf-8")
    readme = DOCS.parent / "README.md"
    readme.write_text(markdown.filled(readme.read_text(encoding="utf-8"), markdown.digest(found)), encoding="utf-8")
    say("rendered: docs/benchmarks.md, docs/benchmarks.svg, the table in README.md")


def _rows(text: str) -> list[Row]:
    try:
        return chosen(text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _peers(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(peers.NAMES):
        raise argparse.ArgumentTypeError(f"no peer {', '.join(sorted(unknown))}; peers are {', '.join(peers.NAMES)}")
    return names


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
