"""What is wrong with the body of a request to the admin API, before the schema has seen it."""

from __future__ import annotations

import json
from email.message import Message
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from fastapi import Request
    from fastapi.exceptions import RequestValidationError

JSON = "application/json"


def is_of_another_type(request: Request, error: RequestValidationError) -> bool:
    """Whether there is a body that was not even read as JSON, for its type is not said or another."""
    if not isinstance(error.body, bytes) or all(item["loc"][0] != "body" for item in error.errors()):
        return False
    said = Message()
    said["content-type"] = request.headers.get("content-type", "")
    kind, _, subtype = said.get_content_type().partition("/")
    return not (kind == "application" and (subtype == "json" or subtype.endswith("+json")))


def wanted_type(request: Request) -> str:
    """What to say about it."""
    found = request.headers.get("content-type")
    return f"expected a body in JSON: send `Content-Type: {JSON}`, found {f'`{found}`' if found else 'none'}"


def described(item: Mapping[str, Any], body: object) -> dict[str, str]:
    """One mistake: where it is, and what it is."""
    if item["type"] == "json_invalid" and isinstance(body, str):
        # Its place is an offset, which nobody counts.
        fault = json.JSONDecodeError(item["ctx"]["error"], body, item["loc"][-1])
        return {"path": "body", "message": f"is not valid JSON: {fault.msg} at {_place(fault)}"}
    return {"path": ".".join(str(step) for step in item["loc"]), "message": item["msg"]}


def undecodable(cause: BaseException | None) -> str | None:
    """What is wrong with a body whose text could not be read; `None` if that is not what failed."""
    if isinstance(cause, UnicodeDecodeError):
        return f"body: is not valid JSON: not UTF-8 at byte {cause.start + 1:,}"
    return "body: is not valid JSON: nested too deeply" if isinstance(cause, RecursionError) else None


def _place(fault: json.JSONDecodeError) -> str:
    return f"line {fault.lineno:,}, column {fault.colno:,}"
