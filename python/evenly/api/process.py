"""The process itself: its status, its configuration, and what makes it read or become a new one."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from evenly.control.status import Changes, Status
from evenly.control.supervisor import Supervisor


class Upgraded(BaseModel):
    """The process that serves now; the one that answers drains."""

    pid: int = Field(description="Its process id.")


def routes(supervisor: Supervisor) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api", tags=["process"])

    @router.get("/status")
    async def status() -> Status:
        """Listeners, pools with their endpoints, and totals."""
        return await supervisor.status()

    @router.get("/config", response_class=PlainTextResponse)
    async def config() -> PlainTextResponse:
        """The running configuration as TOML, every default written out. It names token files, not tokens."""
        return PlainTextResponse(await supervisor.expanded(), media_type="application/toml")

    @router.post("/reload")
    async def reload() -> Changes:
        """Reads the configuration again and applies it; if anything is wrong with it the running one stays."""
        return await supervisor.reload()

    @router.post("/upgrade")
    async def upgrade() -> Upgraded:
        """Starts a new process that takes over the listening sockets; if it cannot serve, this one goes on."""
        return Upgraded(pid=await supervisor.upgrade())

    return router
