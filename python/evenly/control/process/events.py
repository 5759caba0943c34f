"""Writes the packet path's events to the log: an endpoint that changed its state, a listener that could not accept.

The wait is a blocking call without the interpreter lock, so it has a thread of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import structlog

WAIT_MILLISECONDS = 500
"""How long one wait lasts, and so the longest that ending the thread takes."""

log = structlog.get_logger("evenly")


class EventSource(Protocol):
    """Where events come from: the dataplane."""

    def events(self, timeout_ms: int) -> list[dict[str, Any]]: ...


def write(event: dict[str, Any]) -> None:
    """One event as one log line, at its own level and with its own fields; of a message, the text is the event."""
    fields = {key: value for key, value in event.items() if key not in ("event", "level", "time", "message")}
    level = {"error": logging.ERROR, "warning": logging.WARNING}.get(event["level"], logging.INFO)
    log.log(level, event.get("message", event["event"]), **fields)


@contextmanager
def logged(source: EventSource, asked: Callable[[str], None]) -> Iterator[None]:
    """Events are logged inside the block; those still waiting at its end are logged before it is left.

    `asked` is called, in another thread, for names that clients ask for and that may get a certificate on demand.
    """
    ending = threading.Event()

    def pump() -> None:
        while not ending.is_set():
            for event in source.events(WAIT_MILLISECONDS):
                if event["event"] == "name":
                    asked(event["name"])
                else:
                    write(event)
        for event in source.events(0):
            write(event)

    thread = threading.Thread(target=pump, name="evenly-events", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
