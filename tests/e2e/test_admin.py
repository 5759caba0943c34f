"""The admin interface: private by default, guarded where it is not, and it says what it can do."""

import httpx
import pytest

from ..support.balancer import Balancer, configuration, run_verb


def test_unix_socket_is_private(web, servers) -> None:
    """By default a socket that only its owner may open."""
    serving = web(*servers("a"))
    assert serving.balancer.admin_path.stat().st_mode & 0o777 == 0o600
    answer = serving.balancer.admin.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "serving\n")


def test_status(web, servers) -> None:
    """Counters and states of listeners, pools and endpoints."""
    backends = servers("a", "b")
    serving = web(*backends)
    client = serving.connect()
    for _ in range(4):
        client.ask()
    status = serving.balancer.status()
    assert (status["phase"], status["pid"], status["requests"]) == ("serving", serving.balancer.pid, 4)
    listener = status["listeners"][0]
    assert (listener["name"], listener["protocol"], listener["requests"]) == ("web", "http", 4)
    assert (listener["connections"], listener["accepted"]) == (1, 1)
    endpoints = status["pools"][0]["endpoints"]
    assert [each["requests"] for each in endpoints] == [2, 2]
    assert {each["state"] for each in endpoints} == {"healthy"}


def test_openapi(web, servers) -> None:
    """Every path is described."""
    description = web(*servers("a")).balancer.admin.get("/api/openapi.json").json()
    assert {"/metrics", "/healthz", "/api/status", "/api/pools"} <= set(description["paths"])
    assert "put" in description["paths"]["/api/pools/{pool}/endpoints/{address}"]


@pytest.mark.parametrize(
    ("path", "change", "status"),
    [
        ("/api/pools/none/endpoints/127.0.0.1:1", {"state": "draining"}, 404),
        ("/api/pools/app/endpoints/127.0.0.1:1", {"state": "draining"}, 404),
        ("/api/pools/app/endpoints/127.0.0.1:1", {"state": "asleep"}, 422),
        ("/api/pools/app/endpoints/127.0.0.1:1", {"weight": 70_000}, 422),
        ("/api/pools/app/endpoints/127.0.0.1:1", {}, 422),
    ],
)
def test_wrong_requests(web, servers, path, change, status) -> None:
    """What makes no sense is refused with a problem that names it."""
    serving = web(*servers("a"))
    answer = serving.balancer.admin.put(path, json=change)
    assert answer.status_code == status
    assert "detail" in answer.json()


def test_head_leaves_nothing_on_the_connection(web, servers) -> None:
    """Wherever there is GET; the next answer is not taken for its body."""
    with web(*servers("a")).balancer.admin as admin:
        for path in ("/healthz", "/metrics", "/api/status", "/api/pools/app"):
            answer = admin.head(path)
            assert (answer.status_code, answer.content) == (200, b""), path
            assert int(answer.headers["content-length"]) > 0
        assert admin.get("/healthz").text == "serving\n"


def test_a_body_that_is_not_said_to_be_json(web, servers) -> None:
    """As `curl -d` sends it: the answer says what is missing."""
    admin = web(*servers("a")).balancer.admin
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = admin.put("/api/pools/new", content='{"endpoints": []}', headers=form)
    assert (answer.status_code, answer.headers["accept"]) == (415, "application/json")
    assert "send `Content-Type: application/json`" in answer.json()["detail"]
    assert admin.put("/api/pools/new", json={"endpoints": []}).status_code == 200


def test_running_configuration(web, servers, tmp_path) -> None:
    """The expanded configuration can be asked for, and is one that `evenly check` accepts."""
    expanded = tmp_path / "expanded.toml"
    expanded.write_text(web(*servers("a")).balancer.admin.get("/api/config").text)
    assert "connect" in expanded.read_text()
    run_verb("check", str(expanded))


@pytest.fixture
def over_tcp(port, servers, tmp_path):
    """A balancer whose admin interface is on TCP, with a token; and its base address."""
    token = tmp_path / "token"
    token.write_text("correct-horse-battery-staple\n")
    token.chmod(0o600)
    admin = port()
    text = configuration(*servers("a"), bind=port()) + f'[admin]\nbind = "{admin}"\ntoken_file = "{token}"\n'
    with Balancer(text).until_ready():
        yield f"http://{admin}", str(token)


def test_token(over_tcp) -> None:
    """With a token nothing but `/healthz` answers without it."""
    base, _ = over_tcp
    assert httpx.get(f"{base}/healthz").status_code == 200
    assert httpx.get(f"{base}/metrics").status_code == 401
    assert httpx.get(f"{base}/api/status", headers={"Authorization": "Bearer wrong"}).status_code == 401
    right = {"Authorization": "Bearer correct-horse-battery-staple"}
    assert httpx.get(f"{base}/api/status", headers=right).status_code == 200
    assert httpx.get(f"{base}/metrics", headers=right).status_code == 200


def test_token_on_the_command_line(over_tcp) -> None:
    """The verbs know how to bring it."""
    base, token = over_tcp
    address = base.removeprefix("http://")
    assert '"phase"' in run_verb("status", "--json", "--admin", address, "--token-file", token).stdout
    run_verb("status", "--admin", address, expect=1)


def test_foreign_pages_are_refused(run, port, servers) -> None:
    """On loopback without a token, a web page's requests do not get through."""
    admin = port()
    run(configuration(*servers("a"), bind=port()) + f'[admin]\nbind = "{admin}"\n')
    base = f"http://{admin}"
    assert httpx.get(f"{base}/api/status").status_code == 200
    assert httpx.get(f"{base}/api/status", headers={"Host": "rebound.example"}).status_code == 403
    refused = httpx.post(f"{base}/api/reload", headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403


def test_open_to_others_needs_a_token(tmp_path) -> None:
    """A configuration that would open it to others without one is refused."""
    file = tmp_path / "evenly.toml"
    file.write_text('[admin]\nbind = "0.0.0.0:9900"\n[listeners.web]\nbind = ":8080"\n[[routes]]\nrespond = {}\n')
    assert "token_file" in run_verb("check", str(file), expect=2).stderr
