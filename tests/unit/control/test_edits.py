"""Edits of what runs: what each does, what is refused, and what stays when."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from evenly.config import AdminAddress, ConfigError
from evenly.config.edits import Edits
from evenly.control import editing
from evenly.control.dataplane import Dataplane
from evenly.control.editing import ConflictError, UnknownNameError
from evenly.control.life import _load
from evenly.control.origin import Configuration, Origin
from evenly.control.states import FORGOTTEN_AFTER_SECONDS, MOST_GONE, as_health, under, with_state
from evenly.control.status import Edited, OperatorState, OperatorWeight
from evenly.control.store import Kept, Operated, Store
from evenly.control.supervisor import Supervisor
from structlog.testing import capture_logs

from tests.unit.control.recording import RecordingDataplane, SilentAdmin

Change = Callable[[Configuration], Edits]
NEW = "127.0.0.1:9003"


def edit(supervisor: Supervisor, *changes: Change) -> Edited:
    """Makes edits; what the last one did."""

    async def make() -> Edited:
        return [await supervisor.edit(change, "a test") for change in changes][-1]

    return asyncio.run(make())


def add(address: str = NEW, pool: str = "app", **options: object) -> Change:
    """Adds an endpoint."""
    return partial(editing.add_endpoint, pool=pool, address=address, options=options)


def remove(address: str = NEW, pool: str = "app") -> Change:
    """Removes an endpoint."""
    return partial(editing.remove_endpoint, pool=pool, address=address)


def addresses(native: RecordingDataplane) -> list[str]:
    """The endpoints that the packet path has."""
    return [endpoint["address"] for endpoint in native.document["pools"][0]["endpoints"]]


def test_an_endpoint_comes_and_goes(supervisor: Supervisor, native: RecordingDataplane) -> None:
    edit(supervisor, add(weight=4))
    assert addresses(native) == ["127.0.0.1:9001", "127.0.0.1:9002", NEW]
    assert native.document["pools"][0]["endpoints"][2]["weight"] == 4
    edit(supervisor, remove())
    assert addresses(native) == ["127.0.0.1:9001", "127.0.0.1:9002"]
    # Nothing of it is left over: the file says the same.
    assert not supervisor.configuration.edits


def test_a_written_endpoint_goes_and_comes_back(supervisor: Supervisor, native: RecordingDataplane) -> None:
    edit(supervisor, remove("127.0.0.1:9001"))
    assert addresses(native) == ["127.0.0.1:9002"]
    edit(supervisor, add("127.0.0.1:9001"))
    assert sorted(addresses(native)) == ["127.0.0.1:9001", "127.0.0.1:9002"]


def test_edits_stay_over_a_reload(supervisor: Supervisor, native: RecordingDataplane, file: Path) -> None:
    edit(supervisor, add())
    file.write_text(file.read_text().replace("9002", "9004"))
    asyncio.run(supervisor.reload())
    assert addresses(native) == ["127.0.0.1:9001", "127.0.0.1:9004", NEW]


def test_an_edit_does_not_read_the_file_again(supervisor: Supervisor, native: RecordingDataplane, file: Path) -> None:
    """A file that is being written must not hold it up, nor be applied by it."""
    file.write_text("half a f")
    edit(supervisor, add())
    assert NEW in addresses(native)


def test_pools_and_routes(supervisor: Supervisor, native: RecordingDataplane) -> None:
    edit(
        supervisor,
        partial(editing.put_pool, name="blue", table={"endpoints": ["127.0.0.1:9009"], "balance": "random"}),
        partial(editing.put_route, name="b", table={"host": "b.example", "pool": "blue"}, before="default"),
    )
    assert [pool["name"] for pool in native.document["pools"]] == ["app", "blue"]
    assert [route["name"] for route in native.document["routes"]] == ["b", "default"]
    edit(supervisor, add("127.0.0.1:9010", "blue"), remove("127.0.0.1:9009", "blue"))
    assert [each["address"] for each in native.document["pools"][1]["endpoints"]] == ["127.0.0.1:9010"]
    with pytest.raises(ConfigError, match="expected the name of a pool"):
        edit(supervisor, partial(editing.delete_pool, name="blue"))
    edit(supervisor, partial(editing.delete_route, name="b"), partial(editing.delete_pool, name="blue"))
    assert [pool["name"] for pool in native.document["pools"]] == ["app"]
    assert not supervisor.configuration.edits


def test_all_are_taken_back(supervisor: Supervisor, native: RecordingDataplane) -> None:
    edit(supervisor, add(), remove("127.0.0.1:9001"), editing.discard)
    assert addresses(native) == ["127.0.0.1:9001", "127.0.0.1:9002"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (add(pool="none"), UnknownNameError, "one of app; found none"),
        (remove(), UnknownNameError, f"one of 127.0.0.1:9001, 127.0.0.1:9002; found {NEW}"),
        (add("127.0.0.1:9001"), ConflictError, "app has 127.0.0.1:9001 already"),
        (add(address_="x"), ConfigError, "unknown key"),
        (add("nonsense"), ConfigError, r"pools.app.endpoints\[2\].address: expected an address and port"),
        (add(weight="3"), ConfigError, r'pools.app.endpoints\[2\].weight: expected an integer, found "3"'),
        (partial(editing.delete_pool, name="none"), UnknownNameError, "the pool to be one of app"),
        (partial(editing.delete_route, name="none"), UnknownNameError, "the route to be one of default"),
        (partial(editing.put_route, name="a", table={}, before="none"), UnknownNameError, "one of default"),
        (partial(editing.put_route, name="a", table={"name": "b"}, before=None), ConflictError, "not renamed"),
        (partial(editing.put_pool, name="bad name", table={"endpoints": []}), ConfigError, "a name of letters"),
    ],
)
def test_what_is_refused_changes_nothing(
    supervisor: Supervisor, native: RecordingDataplane, change: Change, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        edit(supervisor, change)
    assert native.calls == []
    assert not supervisor.configuration.edits


def test_what_the_packet_path_refuses_leaves_it_too(supervisor: Supervisor, native: RecordingDataplane) -> None:
    native.refuse = OSError("no")
    with pytest.raises(OSError, match="no"):
        edit(supervisor, add())
    assert not supervisor.configuration.edits


def test_an_address_of_a_name_is_not_removed_by_itself(file: Path) -> None:
    file.write_text(file.read_text().replace('"127.0.0.1:9002"', '"localhost:9005"'))
    running = Origin.of_file(file).read()
    with pytest.raises(ConflictError, match="is an address of localhost:9005"):
        editing.remove_endpoint(running, "app", "127.0.0.1:9005")
    assert editing.remove_endpoint(running, "app", "LOCALHOST:9005").endpoints == {"app": {"localhost:9005": None}}


def test_they_are_kept_where_there_is_a_place(supervisor: Supervisor, file: Path, tmp_path: Path) -> None:
    assert not edit(supervisor, add()).kept
    file.write_text(f'state_dir = "state"\n{file.read_text()}')
    asyncio.run(supervisor.reload())
    # What was made before there was a place is kept as well.
    assert Store(tmp_path / "state").load().edits == supervisor.configuration.edits
    assert edit(supervisor, remove("127.0.0.1:9001")).kept
    asyncio.run(supervisor.set_endpoint("app", "127.0.0.1:9002", OperatorState.MAINTENANCE, None))
    kept = Store(tmp_path / "state").load()
    assert kept.edits == supervisor.configuration.edits
    assert kept.states == {"app": {"127.0.0.1:9002": Operated(OperatorState.MAINTENANCE)}}
    assert _load(Origin.of_file(file).load()[0]) == kept


def test_a_place_that_cannot_be_written_is_said(supervisor: Supervisor, file: Path, tmp_path: Path) -> None:
    file.write_text(f'state_dir = "evenly.toml"\n{file.read_text()}')
    with capture_logs() as logs:
        asyncio.run(supervisor.reload())
        edited = edit(supervisor, add())
    assert (edited.kept, edited.unsaved) == (False, f"{file}: Not a directory")
    assert "state not kept" in [entry["event"] for entry in logs]


def test_edits_that_do_not_go_with_the_file_any_more_do_not_keep_it_from_serving(file: Path, tmp_path: Path) -> None:
    file.write_text(f'state_dir = "state"\n{file.read_text()}')
    states = {"app": {"127.0.0.1:9002": Operated(OperatorState.DRAINING)}}
    Store(tmp_path / "state").save_edits(Kept(Edits().with_pool("app", None), states))
    with capture_logs() as logs:
        assert _load(Origin.of_file(file).load()[0]) == Kept(Edits(), states)
    assert [entry["event"] for entry in logs] == ["state not used"]
    assert (tmp_path / "state" / "edits.refused.json").exists()


def test_a_reload_that_they_do_not_go_with_is_refused(supervisor: Supervisor, file: Path) -> None:
    blue = partial(editing.put_pool, name="blue", table={"endpoints": []})
    edit(supervisor, blue, partial(editing.put_route, name="b", table={"pool": "app"}, before="default"))
    file.write_text(file.read_text().replace("pools.app", "pools.renamed"))
    with pytest.raises(ConfigError, match=r"edited at run time: routes\[0\].pool: expected the name of a pool"):
        asyncio.run(supervisor.reload())


def test_states() -> None:
    states = with_state({}, "app", "a:1", OperatorState.DRAINING, None)
    states = with_state(states, "app", "a:1", None, 5)
    assert states == {"app": {"a:1": Operated(OperatorState.DRAINING, 5)}}
    assert '"admin": "draining", "weight": 5' in as_health(states)
    states = with_state(states, "app", "a:1", OperatorState.READY, None)
    assert states == {"app": {"a:1": Operated(None, 5)}}
    drained = with_state({}, "app", "a:1", OperatorState.DRAINING, None)
    assert with_state(drained, "app", "a:1", OperatorState.READY, None) == {}
    weighed = with_state(drained, "app", "a:1", None, 0)
    assert with_state(weighed, "app", "a:1", None, OperatorWeight.CONFIGURED) == drained
    assert with_state({}, "app", "a:1", None, OperatorWeight.CONFIGURED) == {}
    assert as_health({}) == ""


def test_what_was_set_is_set_again_when_an_endpoint_returns(supervisor: Supervisor, native: RecordingDataplane) -> None:
    asyncio.run(supervisor.set_endpoint("app", "127.0.0.1:9001", OperatorState.DRAINING, None))
    edit(supervisor, remove("127.0.0.1:9001"))
    assert native.taken_health == ""
    assert supervisor.states["app"]["127.0.0.1:9001"].gone
    native.calls.clear()
    edit(supervisor, add("127.0.0.1:9001"))
    # With the document, so that no request comes first.
    assert native.calls == ["apply"]
    assert native.taken_health == as_health({"app": {"127.0.0.1:9001": Operated(OperatorState.DRAINING)}})
    assert supervisor.states == {"app": {"127.0.0.1:9001": Operated(OperatorState.DRAINING)}}
    edit(supervisor, remove("127.0.0.1:9002"))
    assert native.taken_health == ""


def test_what_was_set_of_endpoints_that_are_gone_is_forgotten(supervisor: Supervisor) -> None:
    document = supervisor.configuration.document
    drained, here = Operated(OperatorState.DRAINING), {"127.0.0.1:9001": Operated(weight=3)}
    states, back = under({"app": here | {"10.0.0.1:80": drained}, "old": {"10.0.0.2:80": drained}}, document, 1e9)
    gone = replace(drained, gone=1e9)
    assert states == {"app": here | {"10.0.0.1:80": gone}, "old": {"10.0.0.2:80": gone}}
    assert back == {}
    later = 1e9 + FORGOTTEN_AFTER_SECONDS
    assert under(states, document, later - 1) == (states, {})
    assert under(states, document, later) == ({"app": here}, {})
    # Noted when the clock went wrong.
    assert under({"old": {"10.0.0.2:80": replace(drained, gone=2e9)}}, document, 1e9)[0] == {"old": states["old"]}


def test_no_more_than_so_many_are_remembered_the_last_ones(supervisor: Supervisor) -> None:
    document = supervisor.configuration.document
    many = {f"10.0.{index >> 8}.{index & 255}:80": Operated(weight=0, gone=1e9 + index) for index in range(MOST_GONE)}
    states, _ = under({"app": {"10.1.0.0:80": Operated(weight=0, gone=1e9 - 1)} | many}, document, 1e9 + MOST_GONE)
    assert states == {"app": many}


def test_a_process_without_a_file_is_edited_as_well(tmp_path: Path) -> None:
    origin = Origin.of_arguments([":0"], ["127.0.0.1:9001"], "http", AdminAddress(str(tmp_path / "admin.sock")))
    native = RecordingDataplane(origin.read().document.text)
    admin = SilentAdmin(str(tmp_path / "admin.sock"))
    running = Supervisor(origin, origin.read(), Dataplane(native), admin, SilentAdmin.open)  # type: ignore[arg-type]
    edit(running, add(pool="main"))
    asyncio.run(running.reload())
    assert addresses(native) == ["127.0.0.1:9001", NEW]
    with pytest.raises(ConfigError, match=r"edited at run time: pools\.main\.endpoints\[2\]\.weight"):
        edit(running, add("127.0.0.1:9004", "main", weight=-1))
