"""The command line: `run` with and without a file, `check`, `status`; mistakes are explained where they stand."""

import json

import pytest

from ..support.balancer import run_verb
from ..support.wire import Peer


def test_run_without_a_file(run, port, servers) -> None:
    """An address and endpoints are enough."""
    backends = servers("a", "b")
    bound = port()
    run(None, arguments=("--listen", str(bound), *map(str, backends)))
    with Peer.connect(bound.address) as client:
        assert {client.ask().text for _ in range(4)} == {"a", "b"}


def test_run_tcp_without_a_file(run, port, servers) -> None:
    """The same for a byte stream."""
    bound = port()
    run(None, arguments=("--listen", str(bound), "--protocol", "tcp", *map(str, servers("a"))))
    with Peer.connect(bound.address) as client:
        assert client.ask().text == "a"


def test_check(tmp_path) -> None:
    """A good file passes; its long form is a good file too."""
    file = tmp_path / "evenly.toml"
    file.write_text('[listeners.web]\nbind = ":8080"\n[pools.app]\nendpoints = ["10.0.0.1:9000"]\n')
    run_verb("check", str(file))
    expanded = tmp_path / "long.toml"
    expanded.write_text(run_verb("check", "--expand", str(file)).stdout)
    assert "round-robin" in expanded.read_text()
    run_verb("check", str(expanded))


def test_check_names_file_line_and_the_nearest_key(tmp_path) -> None:
    """Where it is, what it is, and what was probably meant."""
    file = tmp_path / "evenly.toml"
    file.write_text('[listeners.web]\nbind = ":8080"\n[pools.app]\nendpoints = []\nbalanse = "random"\n')
    complaint = run_verb("check", str(file), expect=2).stderr
    assert "evenly.toml:5" in complaint
    assert "balanse" in complaint
    assert "`balance`" in complaint


def test_check_reports_unreachable_routes(tmp_path) -> None:
    """A route that earlier ones hide is named."""
    file = tmp_path / "evenly.toml"
    file.write_text(
        '[listeners.web]\nbind = ":8080"\n[[routes]]\nname = "wide"\npath = "/api/*"\nrespond = {}\n'
        '[[routes]]\nname = "hidden"\npath = "/api/users"\nrespond = {}\n'
    )
    done = run_verb("check", str(file))
    assert "hidden" in done.stderr + done.stdout


def test_status(web, servers) -> None:
    """A table for people, JSON for programs."""
    backends = servers("a")
    serving = web(*backends)
    serving.connect().ask()
    admin = ("--admin", str(serving.balancer.admin_path))
    table = run_verb("status", *admin).stdout
    assert str(backends[0]) in table
    assert "healthy" in table
    assert json.loads(run_verb("status", "--json", *admin).stdout)["requests"] == 1


@pytest.mark.parametrize("verb", [("status",), ("reload",), ("upgrade",), ("drain", "app", "127.0.0.1:1")])
def test_nothing_runs(verb, tmp_path) -> None:
    """A verb that finds nobody says where it looked."""
    path = str(tmp_path / "none.sock")
    assert path in run_verb(*verb, "--admin", path, expect=1).stderr


def test_an_address_in_use(tmp_path, endpoint) -> None:
    """`run` names the listener, the line and the address."""
    file = tmp_path / "evenly.toml"
    file.write_text(
        f'[admin]\nbind = "{tmp_path}/a.sock"\n[listeners.web]\nbind = "{endpoint}"\n[[routes]]\nrespond = {{}}\n'
    )
    failed = run_verb("run", str(file), expect=1)
    assert str(endpoint) in failed.stderr
    assert "evenly.toml:4" in failed.stderr


def test_demo() -> None:
    """The demo plays its part, loses no request, and ends with 0 and a summary."""
    done = run_verb("demo", "--seconds", "6", timeout=60)
    assert "killed" in done.stdout
    assert "requests" in done.stdout
