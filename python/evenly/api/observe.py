"""What monitoring asks: `/metrics` and `/healthz`."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from evenly.control.status import Phase
from evenly.control.supervisor import Supervisor

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def routes(supervisor: Supervisor) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["monitoring"])

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """All metrics in Prometheus' text format."""
        return PlainTextResponse(await supervisor.metrics(), media_type=EXPOSITION)

    @router.get("/healthz", response_class=PlainTextResponse, responses={503: {"description": "It is draining."}})
    async def healthz() -> PlainTextResponse:
        """200 while it accepts connections, 503 once it drains: then whatever is in front should go elsewhere."""
        serving = supervisor.phase is Phase.SERVING
        return PlainTextResponse(f"{supervisor.phase}\n", 200 if serving else 503)

    return router
