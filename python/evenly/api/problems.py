"""Errors of the admin API: `application/problem+json` (RFC 9457), always saying what was expected."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from evenly.api import bodies
from evenly.certificates.issue_error import IssueError
from evenly.certificates.keeper import BusyError
from evenly.certificates.store import StoreError
from evenly.config import ConfigError
from evenly.control.admin import AdminError
from evenly.control.binding import ListenError
from evenly.control.editing import ConflictError, UnknownNameError
from evenly.control.splits import SplitError
from evenly.control.supervisor import DrainingError
from evenly.control.upgrade.successor import UpgradeError

MEDIA_TYPE = "application/problem+json"


def problem(status: int, detail: str, **more: object) -> JSONResponse:
    """An answer that reports one problem; `more` are RFC 9457's extension members."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JSONResponse(body, status, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Turns every error that a route can raise into a problem: the only place where a status is chosen for one."""

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        detail = str(error.detail)
        if error.status_code == 404:
            # No route: what is not there by name is an `UnknownNameError`.
            detail = f"the admin API has no {request.url.path}; names of pools, routes and zones have no slash"
        if error.status_code == 400 and (fault := bodies.undecodable(error.__cause__)) is not None:
            detail = fault
        answer = problem(error.status_code, detail)
        answer.headers.update(error.headers or {})
        if "GET" in answer.headers.get("allow", "").split(", "):
            # Routes do not know that they are asked for it; see `head.py`.
            answer.headers["allow"] += ", HEAD"
        return answer

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        if bodies.is_of_another_type(request, error):
            answer = problem(415, bodies.wanted_type(request))
            answer.headers["accept"] = bodies.JSON
            return answer
        found = [bodies.described(item, error.body) for item in error.errors()]
        detail = "; ".join(f"{item['path']}: {item['message']}" for item in found)
        return problem(422, detail, errors=found)

    @app.exception_handler(ConfigError)
    async def refused(_: Request, error: ConfigError) -> JSONResponse:
        found = [
            {"file": item.file, "line": item.line, "path": item.path, "message": item.message}
            for item in error.problems
        ]
        return problem(422, str(error), errors=found)

    @app.exception_handler(UnknownNameError)
    async def unknown(_: Request, error: UnknownNameError) -> JSONResponse:
        return problem(404, str(error), known=error.known)

    @app.exception_handler(SplitError)
    async def misfit(_: Request, error: SplitError) -> JSONResponse:
        return problem(422, str(error))

    async def conflict(_: Request, error: Exception) -> JSONResponse:
        return problem(409, str(error))

    # A process that drains, a renewal that another process is at, and an edit that contradicts what runs.
    for refused_now in (DrainingError, ConflictError, BusyError):
        app.add_exception_handler(refused_now, conflict)

    @app.exception_handler(IssueError)
    async def not_issued(_: Request, error: IssueError) -> JSONResponse:
        return problem(502, str(error))

    async def failed(_: Request, error: Exception) -> JSONResponse:
        return problem(500, str(error))

    # What this machine does not allow: an address in use, a log that cannot be opened, a process that does not start.
    for kind in (UpgradeError, ListenError, AdminError, StoreError, OSError):
        app.add_exception_handler(kind, failed)
