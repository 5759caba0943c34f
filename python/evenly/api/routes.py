"""Routes: the weights of their splits, which an operator changes while the process runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field, RootModel

from evenly.control.splits import HEAVIEST
from evenly.control.status import SplitSet, SplitStatus
from evenly.control.supervisor import Supervisor


class Weights(RootModel[dict[str, Annotated[int, Field(ge=0, le=HEAVIEST)]]]):
    """A weight for each pool of the split."""


def routes(supervisor: Supervisor) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/routes", tags=["routes"])

    @router.get("/{route}/split")
    async def split(route: str) -> SplitStatus:
        """The weights that count, and those of the file."""
        return await supervisor.split(route)

    @router.put("/{route}/split")
    async def set_split(route: str, weights: Weights) -> SplitSet:
        """Sets the weights, until they are cleared or the file's own change."""
        return await supervisor.set_split(route, weights.root)

    @router.delete("/{route}/split")
    async def clear_split(route: str) -> SplitSet:
        """Goes back to the file's weights."""
        return await supervisor.set_split(route, None)

    return router
