"""The verbs that ask a running process: where they look for it, and what they say when it refuses."""

import asyncio
import errno
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from evenly.api.server import AdminServer
from evenly.cli.client import Admin, AdminRequestError, find
from evenly.control.supervisor import Supervisor

from tests.unit.control.recording import RecordingDataplane

Evenly = Callable[..., tuple[int, str, str]]


@pytest.fixture
def served(supervisor: Supervisor) -> Iterator[str]:
    """The supervisor's admin API on its socket; the address."""
    started, ending = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        server = AdminServer.open(supervisor.configuration.resolved.admin)
        await server.start(supervisor)
        started.set()
        await ending.wait()
        await server.close(handed_over=False)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(30)
    yield str(supervisor.configuration.resolved.admin.bind)
    loops[0].call_soon_threadsafe(ending.set)
    thread.join()


def test_status_as_a_table_and_as_json(evenly: Evenly, served: str) -> None:
    code, out, err = evenly("status", "--admin", served)
    assert (code, err) == (0, "")
    assert "127.0.0.1:9001" in out
    assert "2 of 2 healthy" in out
    code, out, _ = evenly("status", "--admin", served, "--json")
    assert json.loads(out)["pools"][0]["name"] == "app"


def test_an_endpoint_is_drained_and_put_back(evenly: Evenly, served: str, native: RecordingDataplane) -> None:
    assert evenly("drain", "app", "127.0.0.1:9001", "--admin", served)[:2] == (0, "app 127.0.0.1:9001 is draining\n")
    assert evenly("maintenance", "app", "127.0.0.1:9001", "--admin", served)[0] == 0
    assert evenly("ready", "app", "127.0.0.1:9001", "--admin", served)[:2] == (0, "app 127.0.0.1:9001 is healthy\n")
    states = [call.split()[3] for call in native.calls]
    assert states == ["draining", "maintenance", "ready"]


def test_an_unknown_endpoint_is_said_with_the_known_ones(evenly: Evenly, served: str) -> None:
    code, _, err = evenly("drain", "app", "127.0.0.1:1", "--admin", served)
    assert code == 1
    assert err == "error: expected the endpoint to be one of 127.0.0.1:9001, 127.0.0.1:9002; found 127.0.0.1:1\n"


def test_a_reload_by_the_configurations_own_address(evenly: Evenly, served: str, file: Path) -> None:
    assert evenly("reload", "--file", str(file)) == (0, "generation 2: pools: app changed\n", "")


def test_a_refused_reload_is_a_refused_configuration(evenly: Evenly, served: str, file: Path) -> None:
    file.write_text(file.read_text().replace("endpoints", "endponts"))
    code, out, err = evenly("reload", "--admin", served)
    assert (code, out) == (2, "")
    assert f"error: {file}:5: pools.app.endponts: " in err


def test_nothing_there_is_one_clear_line(evenly: Evenly) -> None:
    for verb in (("status",), ("reload",), ("upgrade",), ("drain", "app", "127.0.0.1:1")):
        code, out, err = evenly(*verb)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith("error: nothing answers at ")


def test_the_admin_address_may_be_written_in_several_ways() -> None:
    for written in ("127.0.0.1:9900", "http://127.0.0.1:9900", "http://127.0.0.1:9900/"):
        assert find(written, None, None) == Admin("127.0.0.1:9900")
    assert find("/run/x.sock", None, None) == Admin("/run/x.sock")
    assert find("unix:/run/x.sock", None, None) == Admin("/run/x.sock")


def test_a_token_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AdminRequestError, match="No such file"):
        find("127.0.0.1:9900", None, tmp_path / "token")


def test_the_configurations_token_is_used(tmp_path: Path, file: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef\n")
    file.write_text(file.read_text() + 'token_file = "token"\n')
    assert find(None, file, None) == Admin(str(tmp_path / "admin.sock"), "0123456789abcdef")


def test_a_socket_by_a_relative_path(evenly: Evenly, served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a slash, or by its name alone where there is such a socket."""
    path = Path(served)
    monkeypatch.chdir(path.parent)
    assert evenly("status", "--admin", path.name)[0] == 0
    monkeypatch.chdir(path.parent.parent)
    assert evenly("status", "--admin", f"{path.parent.name}/{path.name}")[0] == 0
    assert find("no/such.sock", None, None).address == str(path.parent.parent / "no/such.sock")
    assert find("localhost:9901", None, None).address == "localhost:9901"


def test_who_may_not_use_the_socket_is_told_so(evenly: Evenly, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that nothing runs."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(socket.socket, "connect", refuse)
    code, _, err = evenly("status", "--admin", "/run/evenly/admin.sock")
    assert code == 1
    assert err.startswith("error: this user may not use the admin socket /run/evenly/admin.sock: run it as the user")


def test_an_address_with_a_slash_is_told_what_an_address_is(evenly: Evenly, served: str) -> None:
    """It is one name, whatever is in it."""
    code, _, err = evenly("add", "app", "../../etc:1", "--admin", served)
    assert code == 2
    assert "../../etc:1" in err or "expected an address" in err
    assert "Not Found" not in err
    code, _, err = evenly("drain", "app", "../../etc:1", "--admin", served)
    assert (code, "expected the endpoint to be one of 127.0.0.1:9001" in err) == (1, True)
    code, _, err = evenly("drain", "a/b", "127.0.0.1:9001", "--admin", served)
    assert (code, "names of pools, routes and zones have no slash" in err) == (1, True)


def test_a_reload_names_options_of_the_process(evenly: Evenly, served: str, file: Path) -> None:
    """As `evenly diff` does before."""
    file.write_text(f'shutdown_timeout = "7s"\naccess_log = "{file.parent}/access.log"\n{file.read_text()}')
    code, out, _ = evenly("reload", "--admin", served)
    assert code == 0
    assert "process: access_log, shutdown_timeout changed" in out
