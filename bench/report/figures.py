"""Medians, percentiles and ratios. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """How one contender's figure relates to another's, over runs of the same round."""

    median: float
    lowest: float
    highest: float


def median(values: Sequence[float]) -> float:
    """The middle of the runs: one disturbed run does not move it."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> float:
    """Half the distance between highest and lowest, as a share of the median: a rough measure of noise."""
    middle = median(values)
    return (max(values) - min(values)) / 2 / middle if middle else 0.0


def percentile(ascending: Sequence[float], share: float) -> float:
    """The value that ``share`` (0 to 1) of the ascending values do not exceed (nearest rank)."""
    if not ascending:
        raise ValueError("no values")
    rank = max(1, -int(-share * len(ascending) // 1))
    return ascending[min(rank, len(ascending)) - 1]


def pairwise(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Divide run by run, then take the median.

    Both runs of a pair happened within seconds of each other, so what else the machine did in that minute affects both
    and mostly cancels, which it does not between two medians. Raises ``ValueError`` when the runs do not pair up.
    """
    if not ours or len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} runs cannot be paired with {len(theirs)}")
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    return Ratio(median(ratios), min(ratios), max(ratios))
