"""Whether a host that nobody wrote down gets a certificate: bounds, and the question to the user's service."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from evenly.config.schema.acme import OnDemand
from evenly.config.schema.units import Rate

ANSWER_SECONDS = 5.0
"""For your service: handshakes are waiting."""

REFUSED, UNANSWERED = 300.0, 30.0
"""Seconds for which a host is not asked about again that was refused, or not issued; and that got no answer."""

MOST_REFUSED = 10_000
"""Hosts that are remembered for that; of more, those that were refused first are asked about again."""


class DemandError(Exception):
    """Your service cannot be asked; the text says why."""


def matches(patterns: Iterable[str], host: str) -> bool:
    """Whether a host, in lower case, is one that may be asked about; as the packet path sees it."""
    parent = host.partition(".")[2]
    if not parent or host.rpartition(".")[2].isdigit():
        return False
    return any(each in ("*", host, f"*.{parent}") for each in map(str.lower, patterns))


class Bounds:
    """What keeps strangers from having certificates issued without end. `now` is in seconds, of any clock."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._asked: deque[float] = deque(maxlen=rate.count)
        self._refused: dict[str, float] = {}
        """Until when, by host."""

    def remembers(self, host: str, now: float) -> bool:
        """Whether a host was refused a moment ago."""
        return self._refused.get(host, now) > now

    def admits(self, now: float) -> bool:
        """Counts a question in, unless there were too many."""
        if len(self._asked) == self._rate.count and now - self._asked[0] < self._rate.period_ms / 1000:
            return False
        self._asked.append(now)
        return True

    def refuse(self, host: str, now: float, seconds: float) -> None:
        """Has nobody ask about a host for a while."""
        self._refused.pop(host, None)
        while len(self._refused) >= MOST_REFUSED:
            del self._refused[next(iter(self._refused))]
        self._refused[host] = now + seconds


async def allows(options: OnDemand, host: str) -> bool:
    """Asks your service. Raises `DemandError`."""
    import httpx

    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as client,
            # The status is all that counts, so that no body is read.
            client.stream("GET", options.ask, params={"domain": host}) as answer,
        ):
            if answer.is_server_error:
                raise DemandError(f"{options.ask} answers {answer.status_code}")
            return answer.status_code == httpx.codes.OK
    except TimeoutError as error:
        raise DemandError(f"{options.ask} gives no answer within {ANSWER_SECONDS:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise DemandError(f"{options.ask} cannot be asked: {str(error) or type(error).__name__}") from error
