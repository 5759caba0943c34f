"""Bodies and methods of the admin API: what is said of a body that is not JSON, and HEAD."""

import asyncio

import httpx
import pytest
from evenly.api.app import create
from evenly.control.supervisor import Supervisor

from tests.unit.control.recording import RecordingDataplane

POOL = b'{"endpoints": ["127.0.0.1:9003"]}'


def ask(
    supervisor: Supervisor, method: str, path: str, content: bytes | None = None, kind: str | None = None
) -> httpx.Response:
    """One request, its body with a type or without."""

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(create(supervisor), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            headers = {} if kind is None else {"Content-Type": kind}
            return await client.request(method, path, content=content, headers=headers)

    return asyncio.run(request())


@pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded", "text/plain; charset=utf-8", "nonsense"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/pools/new"),
        ("PUT", "/api/routes/new"),
        ("POST", "/api/pools/app/endpoints/127.0.0.1:9003"),
        ("PUT", "/api/pools/app/endpoints/127.0.0.1:9001"),
        ("POST", "/api/diff"),
    ],
)
def test_a_body_of_another_type_is_told_which_to_send(
    supervisor: Supervisor, native: RecordingDataplane, method: str, path: str, kind: str | None
) -> None:
    answer = ask(supervisor, method, path, POOL, kind)
    assert answer.status_code == 415, answer.text
    assert (answer.headers["content-type"], answer.headers["accept"]) == (
        "application/problem+json", "application/json",
    )  # fmt: skip
    assert "send `Content-Type: application/json`" in answer.json()["detail"]
    assert (kind or "found none") in answer.json()["detail"]
    assert native.calls == []


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "application/merge+json"])
def test_every_spelling_of_the_type_will_do(supervisor: Supervisor, kind: str) -> None:
    assert ask(supervisor, "PUT", "/api/pools/new", POOL, kind).status_code == 200


def test_no_body_needs_no_type(supervisor: Supervisor) -> None:
    assert ask(supervisor, "POST", "/api/pools/app/endpoints/127.0.0.1:9003").status_code == 201
    answer = ask(supervisor, "PUT", "/api/pools/new")
    assert (answer.status_code, answer.json()["detail"]) == (422, "body: Field required")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{'a': 1}", 422, "Expecting property name enclosed in double quotes at line 1, column 2"),
        (b'{\n  "endpoints": [,]}', 422, "Expecting value at line 2, column 17"),
        (b'{"endpoints": "\xff"}', 400, "not UTF-8 at byte 16"),
        (b"[" * 200_000, 400, "nested too deeply"),
    ],
)
def test_what_is_wrong_with_json_is_said_with_its_place(
    supervisor: Supervisor, native: RecordingDataplane, body: bytes, status: int, said: str
) -> None:
    answer = ask(supervisor, "PUT", "/api/pools/new", body, "application/json")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == f"body: is not valid JSON: {said}"
    assert native.calls == []


@pytest.mark.parametrize(
    "path",
    [
        "/healthz", "/metrics", "/api/status", "/api/config", "/api/pools", "/api/pools/app", "/api/edits",
        "/api/zones", "/api/certificates", "/api/openapi.json",
    ],
)  # fmt: skip
def test_head_is_get_without_a_body(supervisor: Supervisor, path: str) -> None:
    got, headed = ask(supervisor, "GET", path), ask(supervisor, "HEAD", path)
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers["content-type"] == got.headers["content-type"]
    assert "content-length" in headed.headers


def test_head_where_get_fails(supervisor: Supervisor) -> None:
    """With its status; where there is no GET there is no HEAD."""
    assert ask(supervisor, "HEAD", "/api/pools/none").status_code == 404
    assert ask(supervisor, "HEAD", "/api/nothing").status_code == 404
    assert ask(supervisor, "HEAD", "/api/reload").status_code == 405
    answer = ask(supervisor, "DELETE", "/api/status")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
