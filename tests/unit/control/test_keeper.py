"""State that cannot be written is written later: by itself, and at the end."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from evenly.control.keeper import Keeper
from evenly.control.status import Keeping, OperatorState
from evenly.control.store import Kept, Operated, Store
from evenly.discovery.backoff import Backoff
from structlog.testing import capture_logs

DRAINING = Kept(states={"app": {"10.0.0.1:80": Operated(OperatorState.DRAINING)}})
NEVER = Backoff(3600, 3600)
AT_ONCE = Backoff(0.001, 0.001)


@pytest.fixture
def logs() -> Iterator[list]:
    """The lines of the log."""
    with capture_logs() as captured:
        yield captured


def events(logs: list) -> list[str]:
    return [line["event"] for line in logs]


def test_without_a_directory_nothing_is_kept_and_nothing_is_wrong(logs) -> None:
    keeper = Keeper(lambda: None, lambda: DRAINING)
    assert asyncio.run(keeper.save_edits()) == Keeping(kept=False, unsaved="")
    assert logs == []


def test_what_could_not_be_written_is_at_the_end(tmp_path: Path, logs) -> None:
    state = tmp_path / "state"
    state.write_text("")
    keeper = Keeper(lambda: state, lambda: DRAINING, NEVER)

    async def live() -> None:
        assert await keeper.save_edits() == Keeping(kept=False, unsaved=f"{state}: Not a directory")
        await keeper.save_edits()
        assert events(logs) == ["state not kept"], "once for each reason"
        state.unlink()
        await keeper.close()

    asyncio.run(live())
    assert Store(state).load() == DRAINING
    assert keeper.keeping == Keeping(kept=True, unsaved="")
    assert events(logs) == ["state not kept", "state kept again"]


def test_it_is_tried_again_as_it_is_by_then(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("")
    current = Kept()
    keeper = Keeper(lambda: state, lambda: current, AT_ONCE)

    async def live() -> None:
        nonlocal current
        await keeper.save_edits()
        await keeper.save_found()
        current = DRAINING
        state.unlink()
        assert keeper._retrying is not None
        await keeper._retrying

    asyncio.run(asyncio.wait_for(live(), 10))
    assert Store(state).load() == DRAINING


def test_what_is_lost_in_the_end_is_told(tmp_path: Path, logs) -> None:
    state = tmp_path / "state"
    state.write_text("")

    async def live() -> None:
        keeper = Keeper(lambda: state, lambda: DRAINING, NEVER)
        await keeper.save_edits()
        await keeper.close()

    asyncio.run(live())
    assert [line["result"] for line in logs] == ["it is tried again, at the end as well", "it ends with the process"]


def test_a_successor_owns_the_files(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("")

    async def live() -> None:
        keeper = Keeper(lambda: state, lambda: DRAINING, NEVER)
        await keeper.save_edits()
        state.unlink()
        keeper.leave()
        await keeper.close()
        await keeper.save_edits()

    asyncio.run(live())
    assert not state.exists()
