"""Whether a host that nobody wrote down gets a certificate: bounds, and the question to your service or program."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections import deque
from collections.abc import Callable, Iterable

from evenly.certificates import renewal
from evenly.certificates.threads import in_thread
from evenly.config.schema.acme import CertifiedHost, OnDemand
from evenly.config.schema.units import Rate

ANSWER_SECONDS = 5.0
"""For your service or program: handshakes are waiting."""

REFUSED, UNANSWERED, BUSY = 300.0, 30.0, 5.0
"""Seconds for which a host is not asked about again that was refused; that got no answer; and that another process is
getting a certificate for, which then is in the store."""

MOST_REFUSED = 10_000
"""Hosts that are remembered for that; of more, those that were refused first are asked about again."""


class DemandError(Exception):
    """Your service or program gives no answer; the text says why."""


def matches(patterns: Iterable[str], host: str) -> bool:
    """Whether a host, in lower case, is one that may be asked about; as the packet path sees it."""
    try:
        if CertifiedHost.parse(host).is_wildcard:
            return False
    except ValueError:
        # No issuer certifies it: an underscore, a label that is empty or too long, an address.
        return False
    parent = host.partition(".")[2]
    return any(each in ("*", host, f"*.{parent}") for each in map(str.lower, patterns))


class Bounds:
    """What keeps strangers from having certificates issued without end. `now` is in seconds, of any clock."""

    def __init__(self, rate: Rate, draw: Callable[[], float] = random.random) -> None:
        self._rate = rate
        self._draw = draw
        self._asked: deque[float] = deque(maxlen=rate.count)
        self._refused: dict[str, tuple[float, int]] = {}
        """Until when, and after how many failures in a row, by host."""

    def remembers(self, host: str, now: float) -> bool:
        """Whether a host was refused a moment ago."""
        return host in self._refused and self._refused[host][0] > now

    def admits(self, now: float) -> bool:
        """Counts a question in, unless there were too many."""
        if len(self._asked) == self._rate.count and now - self._asked[0] < self._rate.period_ms / 1000:
            return False
        self._asked.append(now)
        return True

    def refuse(self, host: str, now: float, seconds: float) -> None:
        """Has nobody ask about a host for a while."""
        self._remember(host, now + seconds, self._failures(host))

    def failed(self, host: str, now: float) -> None:
        """As `refuse`, of a host that was allowed and not issued: for longer each time, as with renewals."""
        failures = self._failures(host) + 1
        self._remember(host, now + renewal.retry(failures, self._draw()).total_seconds(), failures)

    def issued(self, host: str) -> None:
        """Nothing is wrong with a host any more."""
        self._refused.pop(host, None)

    def _failures(self, host: str) -> int:
        return self._refused[host][1] if host in self._refused else 0

    def _remember(self, host: str, until: float, failures: int) -> None:
        self._refused.pop(host, None)
        while len(self._refused) >= MOST_REFUSED:
            del self._refused[next(iter(self._refused))]
        self._refused[host] = until, failures


async def allows(options: OnDemand, host: str) -> bool:
    """Asks your service or program. Raises `DemandError`."""
    if options.command is not None:
        return await _program_allows([*options.command, host])
    return await _service_allows(str(options.ask), host)


async def _program_allows(command: list[str]) -> bool:
    def run() -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=ANSWER_SECONDS, check=False
        )

    try:
        # Also over it all: what the program has started may hold its output open longer than it lives.
        async with asyncio.timeout(ANSWER_SECONDS):
            done = await in_thread(run)
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        raise DemandError(f"{command[0]} gives no answer within {ANSWER_SECONDS:g} s") from error
    except OSError as error:
        raise DemandError(f"{command[0]} cannot be run: {error.strerror or error}") from error
    if done.returncode in (0, 1):
        return done.returncode == 0
    said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    raise DemandError(f"{command[0]} ended with {done.returncode}" + (f": {said[0]}" if said else ""))


async def _service_allows(ask: str, host: str) -> bool:
    import httpx

    try:
        # Beside what it has already: `params` would take the place of that.
        url = httpx.URL(ask).copy_merge_params({"domain": host})
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as client,
            # The status is all that counts, so that no body is read.
            client.stream("GET", url) as answer,
        ):
            if answer.is_server_error:
                raise DemandError(f"{ask} answers {answer.status_code}")
            return answer.status_code == httpx.codes.OK
    except TimeoutError as error:
        raise DemandError(f"{ask} gives no answer within {ANSWER_SECONDS:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise DemandError(f"{ask} cannot be asked: {str(error) or type(error).__name__}") from error
