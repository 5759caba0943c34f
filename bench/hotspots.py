"""``python -m bench.hotspots``: where Evenly's instructions go, per request in steady keep-alive, by callgrind."""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Sequence

from bench import machine
from bench.load import callgrind
from bench.load.callgrind import Profile
from bench.peers import EVENLY, Contender
from bench.rows.instructions import counting, total
from bench.stage import set_up

# Enough for the 16 connections that are opened and closed besides not to show.
REQUESTS = 10_000

# What paths have in front of the part that tells something.
FRONT = re.compile(r"(^|\()[^\s(]*/(?:registry/src/[^/]+|rustc/[0-9a-f]+/library|crates)/")

# Where lines are worth a list: code of others is known better by its function than by its line.
OWN = "/crates/"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.hotspots", description=__doc__)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--top", type=int, default=40, help="how many lines of each list")
    parser.add_argument("--callers", default="", metavar="NAME", help="also who calls functions with NAME in theirs")
    options = parser.parse_args(argv)
    if reason := machine.missing_cores() or EVENLY.absent():
        print(f"hotspots: {reason}", file=sys.stderr)
        return 1
    with set_up() as stage, counting(stage, Contender("evenly", EVENLY), options.connections) as counted:
        threads = counted.run(REQUESTS) if counted else []
    print(f"{total(threads) / REQUESTS:,.0f} instructions per request, {options.connections} connections\n")
    for title, counts in lists(callgrind.read(threads), options.callers).items():
        print("\n".join([title, *lines(counts, options.top)]), end="\n\n")
    return 0


def lists(profile: Profile, called: str) -> dict[str, Counter[str]]:
    """What is shown, by title."""
    files: Counter[str] = Counter()
    for (file, _), count in profile.lines.items():
        files[file] += count
    shown = {
        "Functions, with what was inlined into them:": profile.own,
        "Functions, with all that they call:": profile.inclusive(),
        "Files of the source, wherever their code was inlined:": files,
        "Own lines, without code of others inlined there:": Counter(
            {f"{file}:{line}": count for (file, line), count in profile.lines.items() if OWN in file}
        ),
    }
    return shown | ({f"Callers of {called}:": profile.callers(called)} if called else {})


def short(name: str) -> str:
    """Cut the paths in a name."""
    return FRONT.sub(r"\1", name)


def lines(counts: Counter[str], top: int) -> list[str]:
    """The largest counts, per request."""
    return [f"{count / REQUESTS:9,.1f}  {short(name)}" for name, count in counts.most_common(top)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
