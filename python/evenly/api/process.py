"""The process itself: its status, its configuration, and what makes it read or become a new one."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field, field_validator

from evenly.control.difference import Difference
from evenly.control.status import Changes, Status
from evenly.control.supervisor import Supervisor


class Candidate(BaseModel):
    """A configuration that is not running."""

    text: str = Field(description="Its text, TOML.")
    name: str = Field("configuration", description="What problems call it.")
    directory: Path = Field(description="Where its relative paths start, on the machine of the process; absolute.")

    @field_validator("directory")
    @classmethod
    def _check_absolute(cls, directory: Path) -> Path:
        if not directory.is_absolute():
            raise ValueError("expected an absolute path")
        return directory


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

    @router.post("/diff")
    async def diff(candidate: Candidate) -> Difference:
        """What a reload would touch if this were the file; nothing is changed. Edits and discovered endpoints stay."""
        return await supervisor.difference(candidate.text, candidate.name, candidate.directory)

    @router.post("/upgrade")
    async def upgrade() -> Upgraded:
        """Starts a new process that takes over the listening sockets; if it cannot serve, this one goes on."""
        return Upgraded(pid=await supervisor.upgrade())

    return router
