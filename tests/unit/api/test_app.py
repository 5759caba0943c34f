"""The admin API's routes, asked without a socket."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from evenly.api.app import create
from evenly.control.supervisor import Supervisor
from evenly.control.upgrade.successor import UpgradeError

from tests.unit.control.recording import RecordingDataplane


def ask(supervisor: Supervisor, method: str, path: str, body: Any = None, raw: bytes | None = None) -> httpx.Response:
    """One request; its body as JSON, or as it stands."""

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(create(supervisor), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            headers = {"Content-Type": "application/json"} if raw else {}
            return await client.request(method, path, json=body, content=raw, headers=headers)

    return asyncio.run(request())


def test_status_and_pools(supervisor: Supervisor) -> None:
    status = ask(supervisor, "GET", "/api/status").json()
    assert (status["phase"], status["generation"]) == ("serving", 1)
    assert ask(supervisor, "GET", "/api/pools").json() == status["pools"]
    assert ask(supervisor, "GET", "/api/pools/app").json() == status["pools"][0]


def test_metrics_are_in_the_text_format(supervisor: Supervisor) -> None:
    answer = ask(supervisor, "GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "evenly_requests_total" in answer.text


def test_health_follows_the_phase(supervisor: Supervisor) -> None:
    assert ask(supervisor, "GET", "/healthz").status_code == 200
    supervisor.request_shutdown("SIGTERM")
    answer = ask(supervisor, "GET", "/healthz")
    assert (answer.status_code, answer.text) == (503, "draining\n")


def test_an_endpoint_is_set(supervisor: Supervisor, native: RecordingDataplane) -> None:
    answer = ask(supervisor, "PUT", "/api/pools/app/endpoints/127.0.0.1:9001", {"state": "maintenance", "weight": 3})
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["weight"]) == ("maintenance", 3)
    assert native.calls == ["set_endpoint app 127.0.0.1:9001 maintenance 3"]


def test_a_weight_is_taken_back(supervisor: Supervisor, native: RecordingDataplane) -> None:
    """By null; what is left out stays as it is."""
    place = "/api/pools/app/endpoints/127.0.0.1:9001"
    assert ask(supervisor, "PUT", place, {"weight": 0}).json()["weight"] == 0
    answer = ask(supervisor, "PUT", place, {"state": "draining"}).json()
    assert (answer["state"], answer["weight"]) == ("draining", 0)
    answer = ask(supervisor, "PUT", place, {"weight": None}).json()
    assert (answer["state"], answer["weight"]) == ("draining", 1)
    assert native.calls[-1] == "set_endpoint app 127.0.0.1:9001 draining None"


@pytest.mark.parametrize(
    ("path", "body", "status", "expected"),
    [
        ("/api/pools/app/endpoints/127.0.0.1:9001", {}, 422, "expected `state`, `weight` or both"),
        ("/api/pools/app/endpoints/127.0.0.1:9001", {"state": None}, 422, "expected `state`, `weight` or both"),
        ("/api/pools/app/endpoints/127.0.0.1:9001", {"state": "asleep"}, 422, "'ready', 'draining' or 'maintenance'"),
        ("/api/pools/app/endpoints/127.0.0.1:9001", {"weight": 65536}, 422, "65535"),
        ("/api/pools/app/endpoints/127.0.0.1:9001", {"wieght": 1}, 422, "wieght"),
        ("/api/pools/app/endpoints/127.0.0.1:1", {"weight": 1}, 404, "one of 127.0.0.1:9001, 127.0.0.1:9002"),
        ("/api/pools/none/endpoints/127.0.0.1:1", {"weight": 1}, 404, "one of app"),
    ],
)
def test_what_is_wrong_is_said_as_a_problem(
    supervisor: Supervisor, native: RecordingDataplane, path: str, body: Any, status: int, expected: str
) -> None:
    answer = ask(supervisor, "PUT", path, body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert expected in answer.json()["detail"]
    assert native.calls == []


def test_an_unknown_place_is_a_problem_too(supervisor: Supervisor) -> None:
    for method, path, status in (("GET", "/api/nothing", 404), ("DELETE", "/api/status", 405)):
        answer = ask(supervisor, method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_a_reload_answers_with_what_changed(supervisor: Supervisor) -> None:
    assert ask(supervisor, "POST", "/api/reload").json()["pools"]["changed"] == ["app"]


def test_a_refused_reload_answers_with_file_and_line(supervisor: Supervisor, file: Path) -> None:
    file.write_text(file.read_text().replace("bind = ", "bnd = ", 1))
    answer = ask(supervisor, "POST", "/api/reload")
    assert answer.status_code == 422
    assert {"file", "line", "path", "message"} == set(answer.json()["errors"][0])
    assert 2 in [error["line"] for error in answer.json()["errors"]]


def test_a_failed_upgrade_says_why(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise UpgradeError("the new process ended with exit code 7")

    monkeypatch.setattr("evenly.control.supervisor.start_successor", fail)
    answer = ask(supervisor, "POST", "/api/upgrade")
    assert answer.status_code == 500
    assert "exit code 7" in answer.json()["detail"]
    assert ask(supervisor, "GET", "/healthz").status_code == 200


def test_the_configuration_names_the_token_file_and_not_the_token(supervisor: Supervisor, file: Path) -> None:
    token = file.with_name("token")
    token.write_text("a-very-secret-token")
    token.chmod(0o600)
    file.write_text(file.read_text() + 'token_file = "token"\n')
    ask(supervisor, "POST", "/api/reload")
    text = ask(supervisor, "GET", "/api/config").text
    assert 'token_file = "token"' in text
    assert "a-very-secret-token" not in text


def test_the_description_lists_every_route(supervisor: Supervisor) -> None:
    paths = set(ask(supervisor, "GET", "/api/openapi.json").json()["paths"])
    assert paths == {
        "/metrics", "/healthz", "/api/status", "/api/config", "/api/reload", "/api/upgrade",
        "/api/pools", "/api/pools/{pool}", "/api/pools/{pool}/endpoints/{address}",
        "/api/routes/{route}/split", "/api/zones", "/api/zones/{zone}/evacuation", "/api/routes/{route}",
        "/api/edits", "/api/diff", "/api/certificates", "/api/certificates/{name}/renew",
        "/api/certificates/{name}/revoke", "/api/issuers/{name}/rollover",
    }  # fmt: skip


def test_edits_over_the_api(supervisor: Supervisor, native: RecordingDataplane) -> None:
    place = "/api/pools/app/endpoints/127.0.0.1:9003"
    answer = ask(supervisor, "POST", place, {"weight": 3})
    assert (answer.status_code, answer.json()["generation"], answer.json()["kept"]) == (201, 2, False)
    assert ask(supervisor, "GET", "/api/status").json()["edits"] == 1
    assert ask(supervisor, "PUT", "/api/pools/blue", {"endpoints": []}).status_code == 200
    route = {"host": "b.example", "pool": "blue"}
    assert ask(supervisor, "PUT", "/api/routes/b?before=default", route).status_code == 200
    assert [route["name"] for route in native.document["routes"]] == ["b", "default"]
    made = ask(supervisor, "GET", "/api/edits").json()
    assert made["endpoints"] == {"app": {"127.0.0.1:9003": {"address": "127.0.0.1:9003", "weight": 3}}}
    assert (set(made["pools"]), made["routes"]["b"]["before"]) == ({"blue"}, "default")
    assert "evenly_edits 3" in ask(supervisor, "GET", "/metrics").text.splitlines()
    for path in ("/api/routes/b", "/api/pools/blue", place):
        assert ask(supervisor, "DELETE", path).status_code == 200
    assert ask(supervisor, "GET", "/api/edits").json()["pools"] == {}
    assert ask(supervisor, "POST", place).status_code == 201
    assert ask(supervisor, "DELETE", "/api/edits").status_code == 200
    assert len(native.document["pools"][0]["endpoints"]) == 2


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "expected"),
    [
        ("POST", "/api/pools/app/endpoints/127.0.0.1:9001", {}, 409, "has 127.0.0.1:9001 already"),
        ("POST", "/api/pools/none/endpoints/127.0.0.1:9003", {}, 404, "one of app"),
        ("POST", "/api/pools/app/endpoints/x:80", {"wieght": 1}, 422, "did you mean `weight`?"),
        ("DELETE", "/api/pools/app/endpoints/127.0.0.1:1", None, 404, "one of 127.0.0.1:9001"),
        ("PUT", "/api/pools/new", {"balance": "fastest", "endpoints": []}, 422, "pools.new.balance"),
        ("PUT", "/api/pools/new", [], 422, "dictionary"),
        ("DELETE", "/api/pools/app", None, 422, "expected the name of a pool"),
        ("PUT", "/api/routes/a?before=none", {"pool": "app"}, 404, "one of default"),
        ("DELETE", "/api/routes/none", None, 404, "one of default"),
        ("POST", "/api/diff", {"text": "", "directory": "here"}, 422, "absolute"),
    ],
)
def test_edits_that_are_refused(
    supervisor: Supervisor, native: RecordingDataplane, method: str, path: str, body: Any, status: int, expected: str
) -> None:
    answer = ask(supervisor, method, path, body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert expected in answer.json()["detail"]
    assert native.calls == []


def test_text_that_is_no_text_is_refused(supervisor: Supervisor, native: RecordingDataplane) -> None:
    """JSON can hold what no TOML file can."""
    for path in ("/api/pools/new", "/api/routes/new"):
        answer = ask(supervisor, "PUT", path, raw=b'{"endpoints": [], "hash_key": "\\ud800"}')
        assert (answer.status_code, "half of a surrogate pair" in answer.json()["detail"]) == (422, True)
    assert native.calls == []


def test_a_body_has_a_bound(supervisor: Supervisor) -> None:
    """Whether its length is announced or not; who is at the bound is judged by what it says."""
    from evenly.api.bound import LARGEST_BODY

    def put(length: int, *, announced: bool) -> httpx.Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b" " * (length - 1)
            yield b"3"

        async def request() -> httpx.Response:
            transport = httpx.ASGITransport(create(supervisor), raise_app_exceptions=False)
            headers = {"Content-Type": "application/json"} | ({"Content-Length": str(length)} if announced else {})
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.put("/api/pools/new", content=pieces(), headers=headers)

        return asyncio.run(request())

    for announced in (True, False):
        assert put(LARGEST_BODY, announced=announced).status_code == 422
        answer = put(LARGEST_BODY + 1, announced=announced)
        assert (answer.status_code, answer.json()["detail"]) == (413, "expected a body of at most 32 MiB")
    assert [pool.name for pool in asyncio.run(supervisor.status()).pools] == ["app"]
