"""What Evenly promises, as limits on measured ratios and figures. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.report import figures
from bench.session import Measured

OURS = "evenly"


@dataclass(frozen=True)
class Goal:
    """At most ``limit``: times what ``against`` needs in the same row or, without it, in the row's own unit."""

    row: str
    against: str | None
    limit: float


@dataclass(frozen=True)
class Verdict:
    """A goal beside what was measured."""

    goal: Goal
    title: str
    measured: float

    @property
    def met(self) -> bool:
        return self.measured <= self.goal.limit


GOALS = (
    Goal("small64", "haproxy", 0.90),
    Goal("small64", "nginx", 0.90),
    Goal("small64", "envoy", 0.35),
    Goal("resilient64", "evenly plain", 1.06),
    Goal("resilient64", "haproxy", 0.95),
    *(Goal(row, peer, 1.00) for row in ("close", "download1m", "tcp-bulk") for peer in ("haproxy", "nginx")),
    *(Goal("https64", peer, 0.90) for peer in ("haproxy", "nginx")),
    *(Goal("https1m", peer, 1.00) for peer in ("haproxy", "nginx")),
    *(Goal(f"h2-{count}", peer, limit) for count in (1, 32) for peer, limit in (("nginx", 1.00), ("envoy", 0.50))),
    *(Goal(f"h2-h2-{count}", "envoy", 0.50) for count in (1, 32)),
    # 1.5 and 1.3 times as many handshakes in a second of CPU time.
    *(Goal("tls-full", peer, 1 / 1.5) for peer in ("haproxy", "nginx")),
    *(Goal("tls-resumed", peer, 1 / 1.3) for peer in ("haproxy", "nginx")),
    Goal("udp-small", "nginx", 0.80),
    *(Goal(f"routes-{kind}", "evenly 1 route", 1.10) for kind in ("hosts", "prefixes")),
    Goal("slow-endpoint", "evenly round-robin", 0.20),
    Goal("slow-endpoint", "haproxy leastconn", 1.00),
    Goal("idle", None, 4096),
    Goal("health", None, 15),
    *(Goal(f"instructions{count}", None, 12_000) for count in (1, 16)),
)


def verdicts(rows: Mapping[str, Measured]) -> list[Verdict]:
    """Judge the goals whose rows were measured with the contenders that they need."""
    found = []
    for goal in GOALS:
        row = rows.get(goal.row)
        if row is None or not (ours := row.values(OURS)):
            continue
        if goal.against is None:
            found.append(Verdict(goal, row.title, figures.median(ours)))
        elif theirs := row.values(goal.against):
            found.append(Verdict(goal, row.title, figures.pairwise(ours, theirs).median))
    return found
