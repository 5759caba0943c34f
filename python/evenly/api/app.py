"""The admin API as an application: the list of its routes. Imported late; see `server.py`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI

from evenly import __version__
from evenly.api import certificates, edits, observe, pools, problems, process, routes, zones
from evenly.api.bound import Bound
from evenly.api.head import Head
from evenly.control.supervisor import Supervisor

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def create(supervisor: Supervisor) -> FastAPI:
    """The application. Its description is at `/api/openapi.json`; FastAPI's pages would load scripts from afar."""
    app = FastAPI(
        title="Evenly",
        version=__version__,
        summary="What the running balancer tells, and what an operator may change.",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(observe.routes(supervisor))
    app.include_router(pools.routes(supervisor))
    app.include_router(edits.routes(supervisor))
    app.include_router(routes.routes(supervisor))
    app.include_router(zones.routes(supervisor))
    app.include_router(certificates.routes(supervisor))
    app.include_router(certificates.issuers(supervisor))
    app.include_router(process.routes(supervisor))
    problems.install(app)
    app.add_middleware(Bound)
    app.add_middleware(Head)
    return app


class _Server(uvicorn.Server):
    """uvicorn's server, but signals stay the supervisor's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_for(app: ASGIApp, close_seconds: int) -> uvicorn.Server:
    """A server that runs in the caller's event loop; closing it waits that long for answers under way."""
    config = uvicorn.Config(
        app,
        # The access log is about clients; requests to this API would drown the control plane's own lines.
        access_log=False,
        log_config=None,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=close_seconds,
    )
    return _Server(config)
