"""When a certificate is renewed, and when one tries again after a failure. Pure: time and random numbers come in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

LIVED = 2 / 3
"""The share of its time after which a certificate is renewed where the issuer says nothing better: of 90 days, 30 are
left for whatever goes wrong."""

SPREAD = 0.02
"""Of its time: certificates that were issued together need not be renewed at the same moment."""

FIRST_RETRY = timedelta(minutes=2)
"""With doubling, the fifth failure comes after an hour: Let's Encrypt allows five a host in that time."""

LAST_RETRY = timedelta(hours=6)
"""Often enough to be back the same day; thirty days of failures are a hundred and twenty."""


@dataclass(frozen=True)
class Window:
    """When an issuer wants a certificate renewed (RFC 9773, section 4.2)."""

    start: datetime
    end: datetime

    def moment(self, chosen: float) -> datetime:
        """One of its moments; `chosen` is from 0 up to 1, and drawn once for a certificate (section 4.3)."""
        return self.start + (self.end - self.start) * chosen


def meant(window: Window | None, begins: datetime) -> Window | None:
    """The window, if it can be meant for a certificate that begins then: one that was over before would have it renewed
    for ever."""
    return window if window is not None and window.end > begins else None


def due(begins: datetime, expires: datetime, window: Window | None, chosen: float) -> datetime:
    """When to renew a certificate; `chosen` is from 0 up to 1, and drawn once for it."""
    if window is not None:
        return window.moment(chosen)
    time = expires - begins
    return begins + time * (LIVED - SPREAD * chosen)


def retry(failures: int, random: float) -> timedelta:
    """How long to wait after so many failures in a row, at least one; between half and all of what they come to."""
    whole = min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(failures - 1, 16))
    return whole * (0.5 + random / 2)
