"""What outlives the process, and what becomes of files that are of no use."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from evenly.config.edits import Edits, RouteEdit
from evenly.config.schema import Endpoint, EndpointAddress
from evenly.control.splits import Splits
from evenly.control.status import OperatorState
from evenly.control.store import EDITS, FOUND, Kept, Operated, Store
from evenly.discovery.watcher import Known
from structlog.testing import capture_logs

EVERYTHING = Kept(
    Edits().with_pool("new", {"endpoints": ["10.0.0.1:80"]})
    .with_endpoint("app", "10.0.0.2:80", None)
    .with_route("r", RouteEdit({"pool": "new"}, "first")),
    {"app": {"10.0.0.1:80": Operated(OperatorState.DRAINING, None), "10.0.0.3:80": Operated(None, 7, 1.5)}},
    Splits().with_weights("r", {"new": 1, "app": 0}, {"new": 0, "app": 3}),
    {"zone a": 2e9},
    {"app": Known((Endpoint(address=EndpointAddress.parse("[fd00::1]:80"), weight=3, backup=True),), 1.5)},
)  # fmt: skip


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    assert store.load() == Kept()
    assert store.save_edits(EVERYTHING)
    assert store.save_found(EVERYTHING.found)
    assert store.load() == EVERYTHING
    assert Kept.from_json(json.loads(json.dumps(EVERYTHING.to_json()))) == EVERYTHING


def test_only_this_user_may_read_it_and_nothing_is_left_beside(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    store.save_edits(EVERYTHING)
    store.save_edits(Kept())
    store.save_found({})
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == [FOUND, EDITS]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()} == {0o600}


@pytest.mark.parametrize("name", [EDITS, FOUND])
@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"\xff", b'{"version": 2, "content": {}}', b'{"version": 1, "content": 3}', b"[" * 100_000,
        b'{"version": 1, "content": {"app": 3, "pools": [], "endpoints": {}, "routes": {}, "states": {}}}',
        b'{"version": 1, "content": {"app": {"answered": 1, "endpoints": [{"address": "x"}]}}}',
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_set_aside(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with capture_logs() as logs:
        assert Store(tmp_path).load() == Kept()
    assert [entry["event"] for entry in logs] == ["state not used"]
    assert not (tmp_path / name).exists()
    assert (tmp_path / logs[0]["kept_as"]).read_bytes() == content


@pytest.mark.parametrize(
    "wrong",
    [
        {"splits": {"r": {"file": {"a": 1}, "weights": {"b": 1}}}}, {"splits": {"r": {"file": {"a": 1}}}},
        {"splits": {"r": {"file": {"a": 1}, "weights": {"a": 0}}}}, {"splits": {"r": [{"a": 1}, {"a": 1}]}},
        {"splits": {"r": {"file": {"a": 1}, "weights": {"a": 1e9}}}},
        {"splits": {"r": {"file": {"a": True}, "weights": {"a": 1}}}},
        {"evacuations": {"a": "tomorrow"}}, {"evacuations": {"a": float("inf")}}, {"evacuations": ["a"]},
        {"states": {"app": {"a:1": {"state": None, "weight": "3"}}}},
        {"states": {"app": {"a:1": {"state": None, "weight": 3, "gone": "long"}}}},
    ],
)  # fmt: skip
def test_what_nobody_could_have_set_is_set_aside(tmp_path: Path, wrong: dict[str, object]) -> None:
    content = {"pools": {}, "endpoints": {}, "routes": {}, "states": {}} | wrong
    (tmp_path / EDITS).write_text(json.dumps({"version": 1, "content": content}))
    with capture_logs() as logs:
        assert Store(tmp_path).load() == Kept()
    assert [entry["event"] for entry in logs] == ["state not used"]


def test_a_file_without_splits_and_evacuations(tmp_path: Path) -> None:
    content = {"pools": {}, "endpoints": {}, "routes": {}, "states": {"app": {"a:1": {"state": None, "weight": 3}}}}
    (tmp_path / EDITS).write_text(json.dumps({"version": 1, "content": content}))
    assert Store(tmp_path).load() == Kept(states={"app": {"a:1": Operated(None, 3)}})


def test_one_bad_file_does_not_spoil_the_other(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save_edits(EVERYTHING)
    (tmp_path / FOUND).write_text("{")
    assert store.load() == replace(EVERYTHING, found={})


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, not a directory")
    with pytest.raises(OSError, match="Not a directory"):
        Store(tmp_path / "state").save_found({})
    assert Store(tmp_path / "state").load() == Kept()


def test_nowhere_to_keep_it() -> None:
    store = Store(None)
    assert not store.save_edits(EVERYTHING)
    assert not store.save_found(EVERYTHING.found)
    assert store.load() == Kept()
