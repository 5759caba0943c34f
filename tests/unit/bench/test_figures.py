"""Medians, percentiles and ratios."""

import pytest

from bench.report import figures


def test_the_ratio_is_taken_pair_by_pair():
    # The machine was three times slower in the second round: two medians would say 0.5, the pairs know better.
    ratio = figures.pairwise([8.0, 24.0, 8.0], [10.0, 30.0, 16.0])
    assert (ratio.median, ratio.lowest, ratio.highest) == pytest.approx((0.8, 0.5, 0.8))


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], [1.0, 2.0])])
def test_runs_that_do_not_pair_up_are_refused(ours, theirs):
    with pytest.raises(ValueError, match="cannot be paired"):
        figures.pairwise(ours, theirs)


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100)])
def test_percentile_is_the_nearest_rank(share, value):
    assert figures.percentile(range(1, 101), share) == value


def test_no_values_have_no_percentile():
    with pytest.raises(ValueError, match="no values"):
        figures.percentile([], 0.5)


def test_spread_is_half_the_range_over_the_median():
    assert figures.spread([9.0, 10.0, 13.0]) == pytest.approx(0.2)
    assert figures.spread([0.0, 0.0]) == 0.0
