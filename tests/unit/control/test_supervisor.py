"""What may be asked of a running balancer, and how it ends."""

import asyncio
from pathlib import Path

import pytest
from evenly.config import ConfigError
from evenly.control.editing import UnknownNameError
from evenly.control.status import OperatorState, Phase
from evenly.control.supervisor import DrainingError, Supervisor

from tests.unit.control.recording import RecordingDataplane


def test_status_adds_what_only_the_process_knows(supervisor: Supervisor) -> None:
    status = asyncio.run(supervisor.status())
    assert status.phase is Phase.SERVING
    assert status.generation == 1
    assert [endpoint.address for endpoint in status.pools[0].endpoints] == ["127.0.0.1:9001", "127.0.0.1:9002"]


def test_a_reload_applies_what_the_file_says_now(
    supervisor: Supervisor, native: RecordingDataplane, file: Path
) -> None:
    file.write_text(file.read_text().replace("127.0.0.1:9002", "127.0.0.1:9003"))
    changes = asyncio.run(supervisor.reload())
    assert changes.generation == 2
    assert native.document["pools"][0]["endpoints"][1]["address"] == "127.0.0.1:9003"


def test_a_bad_file_leaves_the_running_configuration(
    supervisor: Supervisor, native: RecordingDataplane, file: Path
) -> None:
    running = supervisor.configuration
    file.write_text(file.read_text().replace("endpoints", "endpoint"))
    with pytest.raises(ConfigError) as refused:
        asyncio.run(supervisor.reload())
    assert {problem.line for problem in refused.value.problems} >= {5}
    assert native.calls == []
    assert supervisor.configuration is running
    assert supervisor.phase is Phase.SERVING


def test_what_the_packet_path_refuses_leaves_it_too(supervisor: Supervisor, native: RecordingDataplane) -> None:
    running = supervisor.configuration
    native.refuse = OSError(24, "Too many open files")
    with pytest.raises(OSError, match="Too many"):
        asyncio.run(supervisor.reload())
    assert supervisor.configuration is running


def test_a_reload_moves_the_admin_api(supervisor: Supervisor, file: Path, tmp_path: Path) -> None:
    old = supervisor.admin
    file.write_text(file.read_text().replace("admin.sock", "other.sock"))

    async def reload() -> None:
        await supervisor.reload()
        await asyncio.sleep(0)

    asyncio.run(reload())
    assert supervisor.admin.address == str(tmp_path / "other.sock")
    assert supervisor.admin.calls == ["start"]  # type: ignore[attr-defined]
    assert old.calls == ["close handed_over=False"]  # type: ignore[attr-defined]


def test_a_refused_reload_does_not_move_it(supervisor: Supervisor, native: RecordingDataplane, file: Path) -> None:
    old = supervisor.admin
    file.write_text(file.read_text().replace("admin.sock", "other.sock"))
    native.refuse = OSError("no")
    with pytest.raises(OSError, match="no"):
        asyncio.run(supervisor.reload())
    assert supervisor.admin is old


def test_an_endpoint_is_set_and_answered_as_it_is_afterwards(supervisor: Supervisor) -> None:
    endpoint = asyncio.run(supervisor.set_endpoint("app", "127.0.0.1:9002", OperatorState.DRAINING, 7))
    assert (endpoint.state, endpoint.weight) == ("draining", 7)


@pytest.mark.parametrize(("pool", "address"), [("none", "127.0.0.1:9001"), ("app", "127.0.0.1:1")])
def test_an_unknown_name_is_answered_with_the_known_ones(supervisor: Supervisor, pool: str, address: str) -> None:
    with pytest.raises(UnknownNameError, match=r"one of (app|127\.0\.0\.1:9001)"):
        asyncio.run(supervisor.set_endpoint(pool, address, OperatorState.READY, None))


async def _run_until(supervisor: Supervisor, *requests: str) -> None:
    """Runs it and asks for the end, as often as there are reasons."""
    running = asyncio.create_task(supervisor.run(watch=False))
    await asyncio.sleep(0)
    for reason in requests:
        supervisor.request_shutdown(reason)
    await asyncio.wait_for(running, 10)


def test_the_end_waits_for_no_connection(supervisor: Supervisor, native: RecordingDataplane) -> None:
    asyncio.run(_run_until(supervisor, "SIGTERM"))
    assert native.calls == ["drain"]
    assert supervisor.phase is Phase.DRAINING
    assert supervisor.admin.calls == ["start", "close handed_over=False"]  # type: ignore[attr-defined]


def test_the_second_request_does_not_wait_for_connections(supervisor: Supervisor, native: RecordingDataplane) -> None:
    native.open_connections = 1
    asyncio.run(_run_until(supervisor, "SIGTERM", "SIGTERM"))
    assert native.calls == ["drain"]


def test_draining_ends_at_its_deadline(supervisor: Supervisor, native: RecordingDataplane, file: Path) -> None:
    file.write_text('shutdown_timeout = "1ms"\n' + file.read_text())
    native.open_connections = 1

    async def play() -> None:
        await supervisor.reload()
        await _run_until(supervisor, "SIGTERM")

    asyncio.run(play())
    assert native.calls == ["apply", "drain"]


def test_nothing_changes_while_it_drains(supervisor: Supervisor) -> None:
    async def play() -> None:
        supervisor.request_shutdown("SIGTERM")
        await supervisor.reload()

    with pytest.raises(DrainingError):
        asyncio.run(play())


def test_log_reopening_that_fails_is_no_end(
    supervisor: Supervisor, native: RecordingDataplane, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(native, "reopen_logs", fail)
    supervisor.request_log_reopening()
    assert supervisor.phase is Phase.SERVING
