"""Zones of endpoints: how they are, and evacuating one."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, field_validator

from evenly.config import Duration
from evenly.control.evacuations import LONGEST, SHORTEST
from evenly.control.status import ZoneSet, ZoneStatus
from evenly.control.supervisor import Supervisor


class Evacuation(BaseModel):
    """For how long; there is none without an end."""

    model_config = ConfigDict(extra="forbid")

    time: str = Field(description="From now on, after which the zone comes back by itself.", examples=["30m"])

    @field_validator("time")
    @classmethod
    def _check_time(cls, value: str) -> str:
        try:
            parsed = Duration.parse(value)
        except ValueError as error:
            raise ValueError(f'expected a duration such as "30m"{f"; {error}" if str(error) else ""}') from None
        if not SHORTEST <= parsed <= LONGEST:
            raise ValueError(f"expected a duration from {SHORTEST} to {LONGEST}")
        return value


def routes(supervisor: Supervisor) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/zones", tags=["zones"])

    @router.get("")
    async def zones() -> list[ZoneStatus]:
        """All zones that endpoints are in."""
        return await supervisor.zones()

    @router.put("/{zone}/evacuation")
    async def evacuate(zone: str, evacuation: Evacuation) -> ZoneSet:
        """Sends a zone's endpoints no traffic as long as there are others; again moves the end."""
        return await supervisor.evacuate(zone, Duration.parse(evacuation.time))

    @router.delete("/{zone}/evacuation")
    async def restore(zone: str) -> ZoneSet:
        """Takes an evacuated zone back into service now."""
        return await supervisor.evacuate(zone, None)

    return router
