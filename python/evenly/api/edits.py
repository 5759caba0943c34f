"""Edits: endpoints, pools and routes that are added, changed and removed at run time, on top of the file.

A body is the table that the file would have, as JSON; the same schema judges it, with the same words. Edits stay over
reloads, and over restarts where `state_dir` is set.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from pydantic import AfterValidator, BaseModel, Field

from evenly.control import editing
from evenly.control.status import Edited
from evenly.control.store import edits_to_json
from evenly.control.supervisor import Supervisor

ANSWERS: dict[int | str, dict[str, Any]] = {
    404: {"description": "There is no such pool, route or endpoint."},
    409: {"description": "It contradicts what runs, or the process drains."},
    415: {"description": "The body's `Content-Type` is not `application/json`."},
    422: {"description": "The schema or the packet path refuses the result; nothing has changed."},
}


def _check_text(table: dict[str, Any] | None) -> dict[str, Any] | None:
    """JSON can hold half of a surrogate pair, which no TOML file can, and which nothing behind this can write."""
    try:
        json.dumps(table, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("expected Unicode text, found half of a surrogate pair") from error
    return table


_AS_WRITTEN = "with the options of the configuration reference, each written as in the file"
PoolTable = Annotated[
    dict[str, Any],
    AfterValidator(_check_text),
    Body(
        description=f"A pool, {_AS_WRITTEN}.",
        examples=[{"endpoints": ["10.0.0.1:9000"], "balance": "least-requests", "health_check": "/healthz"}],
    ),
]
RouteTable = Annotated[
    dict[str, Any],
    AfterValidator(_check_text),
    Body(description=f"A route, {_AS_WRITTEN}.", examples=[{"host": "shop.example.com", "path": "/*", "pool": "app"}]),
]
EndpointTable = Annotated[
    dict[str, Any] | None,
    AfterValidator(_check_text),
    Body(description=f"Options of the endpoint, {_AS_WRITTEN}; may be left out.", examples=[{"weight": 3}]),
]
Before = Annotated[
    str | None,
    Query(
        description="The route that it goes before. By itself a known route stays where it is, and a new one goes to "
        "the end."
    ),
]


class Made(BaseModel):
    """All that is set at run time. Edits are tables of the file; `null` stands for what is taken away."""

    pools: dict[str, dict[str, Any] | None] = Field(description="By name.")
    endpoints: dict[str, dict[str, dict[str, Any] | None]] = Field(description="By pool and address.")
    routes: dict[str, dict[str, Any]] = Field(description="By name: `table`, and `before`, the route it goes before.")
    states: dict[str, dict[str, dict[str, Any]]] = Field(
        description="What operators have set, by pool and address. `gone`: since when there is no such endpoint, in "
        "unix seconds."
    )
    splits: dict[str, dict[str, dict[str, int]]] = Field(
        description="By route: `weights` that an operator has set, and those of the `file` then."
    )
    evacuations: dict[str, float] = Field(description="By zone, when it comes back, in unix seconds.")


def routes(supervisor: Supervisor) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api", tags=["edits"], responses=ANSWERS)

    @router.get("/edits")
    async def made() -> Made:
        """All that is set at run time."""
        return Made.model_validate(edits_to_json(supervisor.to_keep()))

    @router.delete("/edits")
    async def discard() -> Edited:
        """Takes all edits back: what the file said when it was last read counts. What operators have set stays."""
        return await supervisor.edit(editing.discard, "all edits discarded")

    @router.put("/pools/{pool}")
    async def put_pool(pool: str, table: PoolTable) -> Edited:
        """A new pool, or another in place of one."""
        return await supervisor.edit(partial(editing.put_pool, name=pool, table=table), f"pool {pool} set")

    @router.delete("/pools/{pool}")
    async def delete_pool(pool: str) -> Edited:
        """Removes a pool that no route and no listener uses; what is under way on it is finished."""
        return await supervisor.edit(partial(editing.delete_pool, name=pool), f"pool {pool} removed")

    @router.post("/pools/{pool}/endpoints/{address:path}", status_code=201)
    async def add_endpoint(pool: str, address: str, options: EndpointTable = None) -> Edited:
        """Adds an endpoint to a pool."""
        change = partial(editing.add_endpoint, pool=pool, address=address, options=options or {})
        return await supervisor.edit(change, f"endpoint {address} added to {pool}")

    @router.delete("/pools/{pool}/endpoints/{address:path}")
    async def remove_endpoint(pool: str, address: str) -> Edited:
        """Removes an endpoint; what is under way on it is finished."""
        change = partial(editing.remove_endpoint, pool=pool, address=address)
        return await supervisor.edit(change, f"endpoint {address} removed from {pool}")

    @router.put("/routes/{route}")
    async def put_route(route: str, table: RouteTable, before: Before = None) -> Edited:
        """A new route, or another in place of one. Routes are tried in order, and the first that matches wins."""
        change = partial(editing.put_route, name=route, table=table, before=before)
        return await supervisor.edit(change, f"route {route} set")

    @router.delete("/routes/{route}")
    async def delete_route(route: str) -> Edited:
        """Removes a route."""
        return await supervisor.edit(partial(editing.delete_route, name=route), f"route {route} removed")

    return router
