"""How long to wait before a source that failed is asked again. Pure: the random number comes in."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_SHIFT = 32
"""Doubling ends here at the latest; by then every bound that the schema allows is passed."""


@dataclass(slots=True)
class Backoff:
    """Doubles from `shortest` to `longest` seconds with each failure in a row."""

    shortest: float
    longest: float
    failures: int = 0

    def failed(self, random: float) -> float:
        """The seconds until the next attempt, between half and all of what the failures so far come to.

        `random` is from 0 up to 1: nodes that lost the same source at the same moment must not return as one.
        """
        whole = min(self.longest, self.shortest * 2.0 ** min(self.failures, LONGEST_SHIFT))
        self.failures += 1
        return whole * (0.5 + random / 2)

    def succeeded(self) -> None:
        """An answer came: the next failure is the first again."""
        self.failures = 0
