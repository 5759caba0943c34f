"""What the demo measured. Pure: samples and times go in, figures come out."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

WINDOW_SECONDS = 2.0
"""Live figures are of this long: steady enough to read, short enough to show a change while it is watched."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: when it ended (seconds of a monotonic clock), who answered, and how long that took (seconds).

    `endpoint` is `None` for a request that failed.
    """

    at: float
    endpoint: str | None
    latency: float


@dataclass(frozen=True)
class Live:
    """The last moments of one endpoint, or of all."""

    rate: float
    share: float
    p50: float
    p99: float


@dataclass
class Figures:
    """Counts for the whole demo and for each act of it, and the samples of the last moments."""

    began: float
    act: str = "before"
    requests: int = 0
    errors: int = 0
    by_act: dict[str, Counter[str]] = field(default_factory=dict)
    _recent: deque[Sample] = field(default_factory=deque)

    def add(self, sample: Sample) -> None:
        """Counts a request in the act that is on."""
        self.requests += 1
        if sample.endpoint is None:
            self.errors += 1
        else:
            self.by_act.setdefault(self.act, Counter())[sample.endpoint] += 1
        self._recent.append(sample)

    def live(self, now: float, endpoint: str | None = None) -> Live:
        """Figures of the last moments, of one endpoint or of all."""
        while self._recent and self._recent[0].at < now - WINDOW_SECONDS:
            self._recent.popleft()
        answered = [sample for sample in self._recent if sample.endpoint is not None]
        own = sorted(sample.latency for sample in answered if endpoint in (None, sample.endpoint))
        seconds = max(min(WINDOW_SECONDS, now - self.began), 0.1)
        return Live(
            len(own) / seconds, len(own) / len(answered) if answered else 0.0, percentile(own, 50), percentile(own, 99)
        )

    def share(self, act: str, endpoint: str) -> float | None:
        """An endpoint's share of an act's answers; `None` if there were none."""
        counts = self.by_act.get(act, Counter())
        return counts[endpoint] / counts.total() if counts else None


def percentile(ordered: list[float], percent: int) -> float:
    """The smallest value that is not below `percent` of all; 0 for none at all."""
    if not ordered:
        return 0.0
    return ordered[max(-(-len(ordered) * percent // 100) - 1, 0)]
