"""The admin API's sockets: who may connect, what is replaced, what is handed over."""

import asyncio
import fcntl
import os
import socket
import stat
from pathlib import Path

import httpx
import pytest
from evenly.api.server import AdminServer
from evenly.config import AdminAddress
from evenly.config.resolve import ResolvedAdmin
from evenly.control.admin import AdminError
from evenly.control.supervisor import Supervisor


def at(place: str, port: int | None = None, token: str | None = None) -> ResolvedAdmin:
    """Settings."""
    return ResolvedAdmin(AdminAddress(place, port), token)


async def health(server: AdminServer, **headers: str) -> int:
    """The status of `/healthz` and, with headers, of `/metrics`."""
    unix = server.address.startswith("/")
    transport = httpx.AsyncHTTPTransport(uds=server.address if unix else None)
    base = "http://localhost" if unix else f"http://{server.address}"
    async with httpx.AsyncClient(transport=transport, base_url=base, trust_env=False) as client:
        return (await client.get("/metrics" if headers else "/healthz", headers=headers)).status_code


def test_a_unix_socket_is_for_its_user_alone(supervisor: Supervisor, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "admin.sock"

    async def play() -> None:
        server = AdminServer.open(at(str(path)))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        await server.start(supervisor)
        assert await health(server) == 200
        await server.close(handed_over=False)

    asyncio.run(play())
    assert list(path.parent.iterdir()) == []


def test_connections_wait_until_it_is_started(supervisor: Supervisor, tmp_path: Path) -> None:
    async def play() -> int:
        server = AdminServer.open(at(str(tmp_path / "admin.sock")))
        early = asyncio.create_task(health(server))
        await asyncio.sleep(0)
        await server.start(supervisor)
        status = await early
        await server.close(handed_over=False)
        return status

    assert asyncio.run(play()) == 200


def test_a_dead_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = AdminServer.open(at(str(path)))
    with pytest.raises(AdminError, match="another process answers"):
        AdminServer.open(at(str(path)))
    server.abandon()
    assert not path.exists()


def test_what_is_no_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    path.write_text("precious")
    with pytest.raises(AdminError, match="not a socket"):
        AdminServer.open(at(str(path)))
    assert path.read_text() == "precious"


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AdminError, match="cannot open the admin socket"):
        AdminServer.open(at(str(tmp_path / "file" / "admin.sock")))


def test_a_successor_listens_on_the_same_socket(supervisor: Supervisor, tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"

    async def play() -> None:
        old = AdminServer.open(at(str(path)))
        await old.start(supervisor)
        new = AdminServer.open(at(str(path)), (old.address, old.descriptor()))
        before = path.stat().st_ino
        await old.close(handed_over=True)
        assert path.stat().st_ino == before
        await new.start(supervisor)
        assert await health(new) == 200
        await new.close(handed_over=False)
        assert not path.exists()

    asyncio.run(play())


def test_a_successor_that_fails_leaves_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    old = AdminServer.open(at(str(path)))
    AdminServer.open(at(str(path)), (old.address, old.descriptor())).abandon()
    assert path.exists()
    old.abandon()


def test_a_socket_for_another_address_is_closed(tmp_path: Path) -> None:
    old = AdminServer.open(at(str(tmp_path / "old.sock")))
    # High enough that no other descriptor takes its number.
    inherited = fcntl.fcntl(old.descriptor(), fcntl.F_DUPFD, 900)
    new = AdminServer.open(at(str(tmp_path / "new.sock")), (old.address, inherited))
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(inherited)
    new.abandon()
    old.abandon()


def test_tcp_is_guarded(supervisor: Supervisor) -> None:
    async def play() -> list[int]:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        server = AdminServer.open(at("127.0.0.1", port, token="0123456789abcdef"))
        await server.start(supervisor)
        statuses = [
            await health(server),
            await health(server, authorization="Bearer wrong"),
            await health(server, authorization="Bearer 0123456789abcdef"),
        ]
        await server.close(handed_over=False)
        return statuses

    assert asyncio.run(play()) == [200, 401, 200]


def test_a_tcp_address_in_use_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(AdminError, match="already in use"):
        AdminServer.open(at("127.0.0.1", taken.getsockname()[1]))
