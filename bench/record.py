"""A session's numbers as a file: everything raw, so that pages can be rendered anew and others can check the sums."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import machine, peers
from bench.rows import Plan
from bench.session import Measured

FOLDER = Path(__file__).parent / "results"

# What a whole session found; the pages are rendered from it.
LATEST = FOLDER / "latest.json"

# What a session of some rows, peers or runs found; not kept in the repository.
PARTIAL = FOLDER / "partial.json"


@dataclass(frozen=True)
class Results:
    """One session: when, where, with what, and every run of every row."""

    taken: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    plan: Plan
    rows: Sequence[Measured]


def gathered(rows: Sequence[Measured], plan: Plan, where: Mapping[str, str]) -> Results:
    """Add to the rows what a reader needs to judge them."""
    versions = {one.name: one.version() for one in peers.PEERS if one.absent() is None}
    versions["wrk"] = machine.first_line(["wrk", "-v"], r"wrk (\S+)")
    versions["h2load"] = machine.first_line(["h2load", "--version"], r"nghttp2/(\S+)")
    versions["valgrind"] = machine.first_line(["valgrind", "--version"], r"valgrind-(\S+)")
    return Results(datetime.now(UTC).isoformat(timespec="minutes"), where, versions, plan, rows)


def write(results: Results, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(results), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> Results:
    """Read what :func:`write` wrote; raise ``OSError``, ``ValueError`` or ``KeyError`` for anything else."""
    found = json.loads(path.read_text(encoding="utf-8"))
    rows = [Measured(**row) for row in found["rows"]]
    return Results(found["taken"], found["machine"], found["versions"], Plan(**found["plan"]), rows)
