"""Starting: what is bound, in which order, and what is said when it cannot be."""

import asyncio
import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from evenly.config import ConfigError
from evenly.control import dataplane
from evenly.control.binding import ListenError, check_addresses, explain, shared
from evenly.control.life import start
from evenly.control.origin import Origin

from tests.unit.control.recording import DocumentError, RecordingDataplane, SilentAdmin


@pytest.fixture(autouse=True)
def packet_path(monkeypatch: pytest.MonkeyPatch) -> type[RecordingDataplane]:
    """The recording one instead of the real one."""
    monkeypatch.setattr(dataplane._native, "Dataplane", RecordingDataplane)
    monkeypatch.setattr(dataplane._native, "DocumentError", DocumentError)
    return RecordingDataplane


def opening(opened: list[SilentAdmin]) -> Any:
    """`open_admin` that remembers what it opened."""

    def open_admin(settings: Any, inherited: tuple[str, int] | None = None) -> SilentAdmin:
        opened.append(SilentAdmin.open(settings, inherited))
        return opened[-1]

    return open_admin


def test_a_start_reads_binds_and_serves(file: Path) -> None:
    opened: list[SilentAdmin] = []
    supervisor = asyncio.run(start(Origin.of_file(file), opening(opened), None))
    assert supervisor.admin is opened[0]  # type: ignore[comparison-overlap]
    assert asyncio.run(supervisor.status()).listeners[0].name == "web"


def test_an_address_in_use_names_the_listener_and_its_line(file: Path) -> None:
    opened: list[SilentAdmin] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file.write_text(file.read_text().replace('"127.0.0.1:0"', f'["127.0.0.1:0", "127.0.0.1:{port}"]'))
        with pytest.raises(ListenError) as refused:
            asyncio.run(start(Origin.of_file(file), opening(opened), None))
    problem = refused.value.problem
    assert (problem.line, problem.path) == (2, "listeners.web.bind[1]")
    assert "already in use" in problem.message
    assert opened[0].calls == ["abandon"]


def test_a_running_configurations_own_sockets_do_not_count(file: Path) -> None:
    configuration = Origin.of_file(file).read()
    with socket.socket() as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        own.bind(("127.0.0.1", 0))
        own.listen()
        address = f"127.0.0.1:{own.getsockname()[1]}"
        file.write_text(file.read_text().replace("127.0.0.1:0", address))
        configuration = Origin.of_file(file).read()
        check_addresses(configuration, {address}, exclusive=False)
        with pytest.raises(ListenError):
            check_addresses(configuration, {address}, exclusive=True)


@pytest.mark.parametrize(
    ("number", "port", "hint"),
    [
        (errno.EADDRINUSE, 80, "ss -ltnp"),
        (errno.EACCES, 80, "CAP_NET_BIND_SERVICE"),
        (errno.EADDRNOTAVAIL, 80, "no interface"),
        (errno.ENFILE, 80, "files"),
    ],
)
def test_a_refusal_by_the_kernel_comes_with_a_hint(number: int, port: int, hint: str) -> None:
    assert hint in explain(OSError(number, os.strerror(number)), port)


def test_a_refusal_by_the_packet_path_points_into_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise DocumentError("pools[0].endpoints[1].address", "is odd")

    monkeypatch.setattr(dataplane._native, "Dataplane", refuse)
    opened: list[SilentAdmin] = []
    with pytest.raises(ConfigError) as refused:
        asyncio.run(start(Origin.of_file(file), opening(opened), None))
    (problem,) = refused.value.problems
    assert (problem.file, problem.line, problem.message) == (str(file), 5, "is odd")
    assert opened[0].calls == ["abandon"]


def test_a_token_that_everybody_may_read_is_refused(file: Path) -> None:
    token = file.with_name("token")
    token.write_text("0123456789abcdef")
    file.write_text(file.read_text() + 'token_file = "token"\n')
    token.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod"):
        Origin.of_file(file).read()
    token.chmod(0o640)
    read = [name for name, *_ in Origin.of_file(file).read().fingerprint]
    assert read == [str(file), str(token)]


def test_workers_share_an_inherited_socket_that_admits_no_other() -> None:
    with socket.create_server(("127.0.0.1", 0)) as alone:
        group = shared([alone.fileno()], 3)
        assert len(group) == 3
        for duplicate in group[1:]:
            with socket.socket(fileno=duplicate) as same:
                assert same.getsockname() == alone.getsockname()
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        assert shared([alone.fileno()], 3) == [alone.fileno()]
