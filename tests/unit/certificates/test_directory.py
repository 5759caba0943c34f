"""The store that is a directory."""

from pathlib import Path

import pytest
from evenly.certificates.directory import DirectoryStore
from evenly.certificates.store import StoreError


def test_what_is_written_is_read_and_is_nobody_elses(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "a" / "b")
    assert store.read("certificates/site") is None
    for text in ("one", "two"):
        store.write("certificates/site.example", text)
        assert DirectoryStore(store.directory).read("certificates/site.example") == text
    for path in (tmp_path / "a").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert [path.name for path in (store.directory / "certificates").iterdir()] == ["site.example.json"]


def test_what_is_removed_is_gone(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.remove("revocations/site")
    store.write("revocations/site", "text")
    store.write("revocations/other", "text")
    store.remove("revocations/site")
    assert store.read("revocations/site") is None
    assert store.read("revocations/other") == "text"
    (tmp_path / "revocations" / "full.json").mkdir()
    with pytest.raises(StoreError, match="revocations/full cannot be removed"):
        store.remove("revocations/full")


def test_one_at_a_time(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    with store.locked("certificates/site") as first:
        assert first
        with DirectoryStore(tmp_path).locked("certificates/site") as second:
            assert not second
        with store.locked("certificates/other") as other:
            assert other
    with store.locked("certificates/site") as again:
        assert again


def test_what_goes_wrong_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = DirectoryStore(tmp_path / "file")
    assert store.read("certificates/site") is None
    with pytest.raises(StoreError, match="cannot be written"):
        store.write("certificates/site", "text")
    with pytest.raises(StoreError, match="cannot be locked"), store.locked("certificates/site"):
        pass
    (tmp_path / "certificates").mkdir()
    (tmp_path / "certificates" / "site.json").write_bytes(b"\xff")
    with pytest.raises(StoreError, match="cannot be read"):
        DirectoryStore(tmp_path).read("certificates/site")


def test_a_write_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DirectoryStore(tmp_path)
    store.write("certificates/site", "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        store.write("certificates/site", "new")
    assert store.read("certificates/site") == "old"
    assert len(list((tmp_path / "certificates").iterdir())) == 1
