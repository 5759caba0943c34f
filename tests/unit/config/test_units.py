"""Quantities: every unit reads, what is written reads back, and nothing else reads."""

import pytest
from evenly.config.schema import ByteRate, Duration, Percent, Rate, Size
from hypothesis import given
from hypothesis import strategies as st

from .writing import PATIENT

AMOUNTS = st.integers(min_value=0, max_value=10**15)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("0ms", 0), ("500ms", 500), ("10s", 10_000), ("2m", 120_000), ("1h", 3_600_000), ("90 s", 90_000)],
)
def test_durations(text: str, milliseconds: int) -> None:
    assert Duration.parse(text).milliseconds == milliseconds


@pytest.mark.parametrize(
    ("text", "size"), [("0B", 0), ("512B", 512), ("64KiB", 65_536), ("1MiB", 1 << 20), ("2GiB", 2 << 30)]
)
def test_sizes(text: str, size: int) -> None:
    assert Size.parse(text).bytes == size


@pytest.mark.parametrize(
    "text", ["", "10", "s", "-1s", "1.5s", "1e3s", "10S", "1d", "1s1s", "١s", " 1s", "1s ", "1\ns"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError):
        Duration.parse(text)


@pytest.mark.parametrize("text", ["1", "1KB", "1kB", "1kib", "1TiB", "1KiB/s", "-1B", "B"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError):
        Size.parse(text)


@pytest.mark.parametrize("text", ["240B", "240/s", "240B/m", "240B/s/s", "/s"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError):
        ByteRate.parse(text)


@pytest.mark.parametrize("text", ["10", "101%", "-1%", "1.5%", "%", "10 %", "0.1"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(ValueError):
        Percent.parse(text)


def test_decimal_sizes_are_explained() -> None:
    with pytest.raises(ValueError, match='write "KiB"'):
        Size.parse("1kB")


@PATIENT
@given(AMOUNTS)
def test_durations_read_back(amount: int) -> None:
    assert Duration.parse(str(Duration(amount))) == Duration(amount)


@PATIENT
@given(AMOUNTS)
def test_sizes_and_rates_read_back(amount: int) -> None:
    assert Size.parse(str(Size(amount))) == Size(amount)
    assert ByteRate.parse(str(ByteRate(amount))) == ByteRate(amount)


@PATIENT
@given(st.integers(min_value=0, max_value=100))
def test_shares_read_back(percent: int) -> None:
    assert Percent.parse(str(Percent(percent))) == Percent(percent)


def test_the_largest_fitting_unit_is_written() -> None:
    assert [str(Duration(n)) for n in (0, 1, 1_000, 90_000, 3_600_000)] == ["0s", "1ms", "1s", "90s", "1h"]
    assert [str(Size(n)) for n in (0, 1, 1_024, 1_025, 1 << 30)] == ["0B", "1B", "1KiB", "1025B", "1GiB"]


@pytest.mark.parametrize("text", ["1/s", "20/s", "100/m", "1000/h"])
def test_rates(text: str) -> None:
    """They read, and are written as they were."""
    assert str(Rate.parse(text)) == text


def test_rates_compare_by_what_they_allow() -> None:
    """Sixty a minute is as much as one a second."""
    assert Rate.parse("60/m") <= Rate.parse("1/s") <= Rate.parse("60/m")
    assert not Rate.parse("2/s") <= Rate.parse("119/m")


@pytest.mark.parametrize("text", ["", "20", "20/", "20/ms", "20/d", "-1/s", "1.5/s", "20 /s", "1/s/s"])
def test_what_is_no_rate_of_events(text: str) -> None:
    with pytest.raises(ValueError):
        Rate.parse(text)
