"""Which hosts may be asked about, and how often."""

import pytest
from evenly.certificates.demand import MOST_REFUSED, Bounds, matches
from evenly.config.schema.units import Rate


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("shop.test", True),
        ("a.customers.test", True),
        ("customers.test", False),
        ("a.b.customers.test", False),
        ("other.test", False),
    ],
)
def test_patterns_are_exact_or_one_label(host, expected) -> None:
    """As in `evenly_core::certificates::Patterns`."""
    assert matches(["Shop.test", "*.customers.test"], host) is expected


def test_every_host_is_no_address_and_no_single_label() -> None:
    assert matches(["*"], "a.b.c.test")
    assert not matches(["*"], "localhost")
    assert not matches(["*"], "10.0.0.1")


def test_so_many_questions_in_a_time() -> None:
    bounds = Bounds(Rate.parse("2/m"))
    assert [bounds.admits(now) for now in (0, 10, 59, 60, 61, 70)] == [True, True, False, True, False, True]


def test_a_refusal_is_remembered_for_its_time_and_no_more_of_them_than_so_many() -> None:
    bounds = Bounds(Rate.parse("1/s"))
    bounds.refuse("a.test", 0, 30)
    assert bounds.remembers("a.test", 29)
    assert not bounds.remembers("a.test", 30)
    assert not bounds.remembers("b.test", 0)
    for number in range(MOST_REFUSED):
        bounds.refuse(f"{number}.test", 0, 30)
    assert not bounds.remembers("a.test", 1), "the first one is forgotten"
    assert bounds.remembers("0.test", 1)
    bounds.refuse("0.test", 1, 30)
    bounds.refuse("one-more.test", 1, 30)
    assert bounds.remembers("0.test", 1), "whoever is refused again is not the first any more"
    assert not bounds.remembers("1.test", 1)
