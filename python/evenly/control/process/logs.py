"""How the control plane logs: lines for a person on a terminal, JSON for everything else, always to standard error.

Standard output stays free for the access log ("-") and for what verbs print.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog


def configure(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Sets structlog up for this process; `stream` defaults to standard error."""
    output = _Steadfast(sys.stderr if stream is None else stream)
    readable = output.isatty()
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(pad_event_to=0, pad_level=False, sort_keys=False, timestamp_key="time")
        if readable
        else structlog.processors.JSONRenderer()
    )
    stamp = structlog.processors.TimeStamper("%H:%M:%S" if readable else "iso", utc=not readable, key="time")
    structlog.configure(
        processors=[stamp, structlog.processors.add_log_level, structlog.processors.format_exc_info, _order, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", output)),
        cache_logger_on_first_use=False,
    )


class _Steadfast:
    """A stream whose reader may have gone, or that was closed from the start: what it does not take is lost, and
    whoever logs goes on. Else a process without a reader could not even be told to end, as it logs that first."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return self._stream is not None and self._stream.isatty()

    def write(self, text: str) -> None:
        """Writes if it can."""
        # ValueError: it was closed.
        with suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.write(text)

    def flush(self) -> None:
        """Flushes if it can."""
        with suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.flush()


def _order(_: object, __: str, fields: structlog.types.EventDict) -> structlog.types.EventDict:
    """When, how bad and what first, so that lines can be read from the left; then what belongs to the event."""
    first = {key: fields.pop(key) for key in ("time", "level", "event")}
    return first | dict(fields)
