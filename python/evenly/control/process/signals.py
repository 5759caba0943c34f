"""What each signal does.

| signal | does |
| --- | --- |
| SIGTERM, SIGINT | drain: accept nothing new, finish the old within `shutdown_timeout`; the second ends at once |
| SIGHUP | reload |
| SIGUSR1 | close the access log and open it again, after it was rotated |
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Signalled(Protocol):
    """What signals act on. The calls only set things going; they neither wait nor raise."""

    def request_shutdown(self, reason: str) -> None: ...
    def request_reload(self, reason: str) -> None: ...
    def request_log_reopening(self) -> None: ...


def actions(target: Signalled) -> dict[signal.Signals, Callable[[], None]]:
    """The table above, as code."""
    return {
        signal.SIGTERM: lambda: target.request_shutdown("SIGTERM"),
        signal.SIGINT: lambda: target.request_shutdown("SIGINT"),
        signal.SIGHUP: lambda: target.request_reload("SIGHUP"),
        signal.SIGUSR1: target.request_log_reopening,
    }


@contextmanager
def handled(target: Signalled) -> Iterator[None]:
    """Signals go to `target` inside the block, on the running loop; afterwards they do what they did before."""
    loop = asyncio.get_running_loop()
    table = actions(target)
    for number, action in table.items():
        loop.add_signal_handler(number, action)
    try:
        yield
    finally:
        for number in table:
            loop.remove_signal_handler(number)
