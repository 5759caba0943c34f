"""Where a value of the document comes from, if its name or place is another than its option's."""

from dataclasses import dataclass
from typing import Any

from .problems import Place
from .schema.units import Duration


@dataclass(frozen=True, slots=True)
class At:
    """A value that comes from the option at `place`, relative to the option that the value around it comes from."""

    place: Place
    value: Any


def ms(option: str, duration: Duration | None) -> At:
    """The milliseconds of the option of this name; `null` if it is not set."""
    return At((option,), duration and duration.milliseconds)
