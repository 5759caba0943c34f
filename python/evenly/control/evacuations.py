"""Zones that operators have evacuated, each until a moment on the wall's clock. Pure.

The packet path ends each by itself. This is what a restart has to know, which begins with a clock of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from evenly.config import Document, Duration, Settings

SHORTEST, LONGEST = Duration.parse("1s"), Duration.parse("168h")
"""A week is the longest: what is to be gone for longer belongs into the configuration."""

Evacuations = Mapping[str, float]
"""When each zone comes back, in unix seconds."""


def with_evacuation(evacuations: Evacuations, zone: str, until: float | None) -> Evacuations:
    """With another end for one zone; `None`: it is back."""
    others = {other: end for other, end in evacuations.items() if other != zone}
    return others if until is None else others | {zone: until}


def that_last(evacuations: Evacuations, now: float) -> Evacuations:
    """Those that are not over. A clock that was put back makes none longer than one may be."""
    return {zone: min(until, now + LONGEST.seconds) for zone, until in evacuations.items() if until > now}


def of_known_zones(evacuations: Evacuations, settings: Settings, document: Document) -> Evacuations:
    """Those of zones that endpoints are in; or may be in, as long as a source can still find some."""
    if not evacuations or any(pool.discovery is not None for pool in settings.pools.values()):
        return evacuations
    known = zones(document)
    return {zone: until for zone, until in evacuations.items() if zone in known}


def zones(document: Document) -> set[str]:
    """Every zone that an endpoint is in."""
    pools = json.loads(document.text)["pools"]
    return {endpoint["zone"] for pool in pools for endpoint in pool["endpoints"] if endpoint["zone"] is not None}
