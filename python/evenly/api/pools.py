"""Pools and their endpoints: what they do, and what an operator sets."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from evenly.control.status import EndpointSet, OperatorState, OperatorWeight, PoolStatus
from evenly.control.supervisor import Supervisor


class EndpointChange(BaseModel):
    """What to set; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    state: OperatorState | None = Field(
        None, description="`ready`, `draining` (nothing new, finish the old), or `maintenance` (nothing, ever)."
    )
    weight: Annotated[int, Field(ge=0, le=65_535)] | None = Field(
        None, description="Replaces the configured one, until null is sent, which takes that back."
    )

    @model_validator(mode="after")
    def _check_something(self) -> EndpointChange:
        if self.state is None and "weight" not in self.model_fields_set:
            raise ValueError("expected `state`, `weight` or both")
        return self

    @property
    def wanted_weight(self) -> int | OperatorWeight | None:
        """`None` if nothing is said about it; sent as null it is the configured one."""
        if "weight" not in self.model_fields_set:
            return None
        return OperatorWeight.CONFIGURED if self.weight is None else self.weight


def routes(supervisor: Supervisor) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/pools", tags=["pools"])

    @router.get("")
    async def pools() -> list[PoolStatus]:
        """All pools."""
        return (await supervisor.status()).pools

    @router.get("/{pool}")
    async def pool(pool: str) -> PoolStatus:
        """One pool."""
        return await supervisor.pool(pool)

    @router.put("/{pool}/endpoints/{address:path}")
    async def set_endpoint(pool: str, address: str, change: EndpointChange) -> EndpointSet:
        """Sets an endpoint's state, weight or both; the answer is the endpoint afterwards."""
        return await supervisor.set_endpoint(pool, address, change.state, change.wanted_weight)

    return router
