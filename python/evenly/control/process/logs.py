"""How the control plane logs: lines for a person on a terminal, JSON for everything else, always to standard error.

Standard output stays free for the access log ("-") and for what verbs print.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog


def configure(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Sets structlog up for this process; `stream` defaults to standard error."""
    output = sys.stderr if stream is None else stream
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
        logger_factory=structlog.WriteLoggerFactory(output),
        cache_logger_on_first_use=False,
    )


def _order(_: object, __: str, fields: structlog.types.EventDict) -> structlog.types.EventDict:
    """When, how bad and what first, so that lines can be read from the left; then what belongs to the event."""
    first = {key: fields.pop(key) for key in ("time", "level", "event")}
    return first | dict(fields)
