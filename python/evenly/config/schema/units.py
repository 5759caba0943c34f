"""Quantities with units. A number without one is refused: `timeout = 30` has cost too many people a night."""

import re
from dataclasses import dataclass
from typing import Annotated, Self

from .table import Bounds, written

# Longest first, so that writing picks the largest unit that leaves no remainder.
_DURATIONS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_SIZES = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
# 15 digits keep every product within 64 bits, which is what the packet path counts in.
_QUANTITY = re.compile(r"(\d{1,15}) ?([A-Za-z]+)", re.ASCII)


@written('a duration such as "500ms", "10s", "2m" or "1h"', r"^\d{1,15} ?(ms|s|m|h)$", 'it as "10s" or "500ms"')
@dataclass(frozen=True, order=True, slots=True)
class Duration:
    """A length of time; whole milliseconds."""

    milliseconds: int

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(_parse(text, _DURATIONS))

    @property
    def seconds(self) -> float:
        """For asyncio and the like."""
        return self.milliseconds / 1000

    def __str__(self) -> str:
        return _render(self.milliseconds, _DURATIONS, zero="0s")


@written('a size such as "512B", "64KiB" or "1MiB"', r"^\d{1,15} ?(B|KiB|MiB|GiB)$", 'it as "65536B" or "64KiB"')
@dataclass(frozen=True, order=True, slots=True)
class Size:
    """An amount of bytes. Only powers of 1,024: the decimal "KB" is read both ways, so it is refused."""

    bytes: int

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(_parse(text, _SIZES))

    def __str__(self) -> str:
        return _render(self.bytes, _SIZES, zero="0B")


@written('a byte rate such as "240B/s" or "64KiB/s"', r"^\d{1,15} ?(B|KiB|MiB|GiB)/s$", 'it as "240B/s"')
@dataclass(frozen=True, order=True, slots=True)
class ByteRate:
    """Bytes a second."""

    bytes_per_second: int

    @classmethod
    def parse(cls, text: str) -> Self:
        size, slash, per = text.partition("/")
        if not slash:
            raise ValueError('"/s" is missing')
        if per != "s":
            raise ValueError("rates are per second")
        return cls(_parse(size, _SIZES))

    def __str__(self) -> str:
        return _render(self.bytes_per_second, _SIZES, zero="0B") + "/s"


@written('a rate such as "20/s", "100/m" or "1000/h"', r"^\d{1,9}/(s|m|h)$", 'it as "20/s"')
@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so long. One may be compared with another: 60 a minute is as much as 1 a second."""

    count: int
    period_ms: int

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"(\d{1,9})/(s|m|h)", text, re.ASCII)
        if match is None:
            raise ValueError('"/s", "/m" or "/h" is missing' if text.isdigit() else "")
        return cls(int(match[1]), _DURATIONS[match[2]])

    def __le__(self, other: "Rate") -> bool:
        return self.count * other.period_ms <= other.count * self.period_ms

    def __str__(self) -> str:
        return f"{self.count}/{next(unit for unit, length in _DURATIONS.items() if length == self.period_ms)}"


@written('a share such as "10%"', r"^\d{1,3}%$", 'it as "10%"')
@dataclass(frozen=True, order=True, slots=True)
class Percent:
    """A share in whole percent, 0 to 100."""

    percent: int

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"(\d{1,3})%", text, re.ASCII)
        if match is None or int(match[1]) > 100:
            raise ValueError('whole percent, from "0%" to "100%"')
        return cls(int(match[1]))

    def __str__(self) -> str:
        return f"{self.percent}%"


def durations(low: str, high: str) -> Bounds:
    """Bounds of a duration."""
    return Bounds(Duration.parse(low), Duration.parse(high), "a duration")


def sizes(low: str, high: str) -> Bounds:
    """Bounds of a size."""
    return Bounds(Size.parse(low), Size.parse(high), "a size")


def _parse(text: str, units: dict[str, int]) -> int:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError("the unit is missing" if text.isdigit() else "")
    number, unit = match.groups()
    if unit in units:
        return int(number) * units[unit]
    if unit in {"KB", "kB", "MB", "GB"}:
        raise ValueError(f'"{unit}" is read as 1,000 by some and as 1,024 by others; write "{unit[0].upper()}iB"')
    raise ValueError(f'"{unit}" is no unit; the units are {", ".join(reversed(units))}')


def _render(amount: int, units: dict[str, int], zero: str) -> str:
    for unit, factor in units.items():
        if amount and amount % factor == 0:
            return f"{amount // factor}{unit}"
    return zero


# A deadline of zero would cut everything; one beyond a year is none, and none is not to be had (every wait ends).
Timeout = Annotated[Duration, durations("1ms", "8760h")]
