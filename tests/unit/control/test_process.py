"""The process and what is around it: systemd, signals, watched files, descriptors, log lines."""

import asyncio
import io
import json
import os
import resource
import signal
import socket
import threading
from pathlib import Path

import pytest
import structlog
from evenly.control.dataplane import Dataplane
from evenly.control.process import descriptors, events, logs, signals, systemd
from evenly.control.process.watch import Debounce, fingerprint

from tests.unit.control.recording import RecordingDataplane


def test_systemd_is_told_in_one_datagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        systemd.ready("Serving")
        assert receiver.recv(1000).decode().splitlines() == ["READY=1", f"MAINPID={os.getpid()}", "STATUS=Serving"]
        systemd.reloading()
        assert receiver.recv(1000).decode().startswith("RELOADING=1\nMONOTONIC_USEC=")


def test_without_systemd_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not systemd.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert not systemd.notify("READY=1")


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_asked(environment: dict[str, str], seconds: float | None) -> None:
    assert systemd.watchdog_interval(environment) == seconds


def test_activated_sockets_are_matched_by_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as tcp6,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        assert systemd.bound_address(tcp.fileno()) == f"127.0.0.1:{tcp.getsockname()[1]}"
        assert systemd.bound_address(tcp6.fileno()) == f"[::1]:{tcp6.getsockname()[1]}"
        assert systemd.bound_address(unix.fileno()) is None
        monkeypatch.setattr(systemd, "FIRST_DESCRIPTOR", tcp.fileno())
        mine = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
        address = systemd.bound_address(tcp.fileno())
        assert systemd.listening_sockets(mine) == [(address, [tcp.fileno()])]
        assert systemd.listening_sockets({**mine, "LISTEN_PID": "1"}) == []


class Signalled:
    """Remembers what signals asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.something = asyncio.Event()

    def request_shutdown(self, reason: str) -> None:
        self._note(f"shutdown {reason}")

    def request_reload(self, reason: str) -> None:
        self._note(f"reload {reason}")

    def request_log_reopening(self) -> None:
        self._note("reopen")

    def _note(self, what: str) -> None:
        self.asked.append(what)
        self.something.set()


@pytest.mark.parametrize(
    ("number", "asked"),
    [
        (signal.SIGTERM, "shutdown SIGTERM"),
        (signal.SIGINT, "shutdown SIGINT"),
        (signal.SIGHUP, "reload SIGHUP"),
        (signal.SIGUSR1, "reopen"),
    ],
)
def test_each_signal_asks_for_its_own(number: signal.Signals, asked: str) -> None:
    async def play() -> list[str]:
        target = Signalled()
        with signals.handled(target):
            os.kill(os.getpid(), number)
            await asyncio.wait_for(target.something.wait(), 10)
        return target.asked

    assert asyncio.run(play()) == [asked]


def test_a_change_counts_once_it_has_settled() -> None:
    old, half, new = ((("f", 1, 1, 1),), (("f", 1, 2, 2),), (("f", 1, 3, 3),))
    debounce = Debounce(old)
    looks = [old, half, new, new, new, old, old]
    assert [debounce.changed(look) for look in looks] == [False, False, False, True, False, False, True]


def test_a_file_that_vanishes_and_comes_back_is_a_change(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("one")
    before = fingerprint([file])
    file.unlink()
    assert fingerprint([file]) != before
    file.write_text("one, again")
    assert fingerprint([file]) != before


def test_the_descriptor_limit_is_raised_as_far_as_it_goes() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        assert descriptors.raise_limit() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_events_become_log_lines(native: RecordingDataplane) -> None:
    lines: list[str] = []
    names: list[str] = []
    arrived = threading.Event()

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            lines.append(text)
            arrived.set()
            return len(text)

    logs.configure(Stream())
    try:
        with events.logged(Dataplane(native), names.append):  # type: ignore[arg-type]
            native.emit({"time": 1.0, "level": "info", "event": "name", "name": "shop.test"})
            native.emit(
                {"time": 1.0, "level": "warning", "event": "endpoint", "pool": "app", "endpoint": "127.0.0.1:9001"}
                | {"from": "healthy", "to": "unhealthy", "reason": "connect: connection refused"}
            )
            assert arrived.wait(10)
    finally:
        structlog.reset_defaults()
    line = json.loads("".join(lines))
    assert list(line)[:3] == ["time", "level", "event"]
    assert (line["level"], line["event"], line["to"]) == ("warning", "endpoint", "unhealthy")
    assert names == ["shop.test"], "and names that clients wait for are told, and not logged"
