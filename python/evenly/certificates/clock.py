"""Time, as keepers see it; tests pass in another."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is, and waiting."""

    def now(self) -> datetime:
        """The time, in UTC."""

    async def wait(self, woken: asyncio.Event, seconds: float) -> None:
        """Until so much time has passed, or the event is set."""


class SystemClock:
    """The machine's."""

    def now(self) -> datetime:
        """As `Clock` says."""
        return datetime.now(UTC)

    async def wait(self, woken: asyncio.Event, seconds: float) -> None:
        """As `Clock` says."""
        with suppress(TimeoutError):
            await asyncio.wait_for(woken.wait(), seconds)
