"""Answers that are written as a pool's `endpoints` are, in JSON or TOML: files, and documents behind a URL."""

from __future__ import annotations

import json
import tomllib
from typing import Any, ClassVar

from pydantic import Field

from evenly.config.problems import dotted
from evenly.config.schema import Endpoint, Table
from evenly.config.schema.pool import Endpoints
from evenly.config.validate import validate_table
from evenly.discovery.source import SourceError

LARGEST_ANSWER = 1 << 20
"""Bytes. Ten thousand endpoints with every option take about as much."""

SHOWN_PROBLEMS = 3
"""An error is one line in the log and in `evenly status`."""


class Listing(Table):
    """The answer as a whole."""

    heading: ClassVar[str] = "Listing"

    endpoints: Endpoints = Field(description="As in a pool.")


def parse(raw: bytes, form: str, weight: int) -> list[Endpoint]:
    """Reads a listing; `form` is "json" or "toml", a bare JSON list will do, `weight` is for endpoints without one.

    Raises `SourceError` with the schema's own messages.
    """
    try:
        data: Any = json.loads(raw) if form == "json" else tomllib.loads(raw.decode())
    except RecursionError:
        raise SourceError("invalid", "nested too deeply") from None
    except ValueError as error:
        raise SourceError("invalid", f"not {form.upper()}: {error}") from error
    read = validate_table(Listing, {"endpoints": data} if isinstance(data, list) else data)
    if isinstance(read, list):
        shown = [f"{dotted(place)}: {message}" if place else message for place, message in read[:SHOWN_PROBLEMS]]
        more = f" … and {len(read) - SHOWN_PROBLEMS:,} more" if len(read) > SHOWN_PROBLEMS else ""
        raise SourceError("invalid", "; ".join(shown) + more)
    https = next((each.address for each in read.endpoints if each.address.is_https), None)
    if https is not None:
        raise SourceError("invalid", f"{https}: leave https:// out; `tls` of the pool turns it on for all endpoints")
    return [
        each if "weight" in each.model_fields_set else each.model_copy(update={"weight": weight})
        for each in read.endpoints
    ]
