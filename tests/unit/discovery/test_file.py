"""Endpoints from a file."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from evenly.config.files import open_file
from evenly.discovery import file
from evenly.discovery.source import SourceError

from tests.unit.discovery.asking import source, watching


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("app.json", '{"endpoints": ["192.0.2.1:80", {"address": "192.0.2.2:80", "weight": 3, "zone": "b"}]}'),
        ("app.json", '["192.0.2.1:80", {"address": "192.0.2.2:80", "weight": 3, "zone": "b"}]'),
        ("app.toml", 'endpoints = ["192.0.2.1:80", { address = "192.0.2.2:80", weight = 3, zone = "b" }]'),
    ],
)
def test_it_says_what_a_pool_may_say(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)

    async def ask() -> None:
        async with watching(source(tmp_path, type="file", path=name, weight=5)) as watched:
            found = [(str(each.address), each.weight, each.zone) for each in await watched.endpoints()]
            assert found == [("192.0.2.1:80", 5, None), ("192.0.2.2:80", 3, "b")]

    asyncio.run(ask())


def test_a_change_is_seen(tmp_path: Path) -> None:
    """Also if the file is replaced by another, as whoever writes one for others should do it."""
    path = tmp_path / "app.json"
    path.write_text('["192.0.2.1:80"]')

    async def ask() -> None:
        async with watching(source(tmp_path, type="file", path="app.json", interval="50ms")) as watched:
            assert await watched.addresses() == ["192.0.2.1:80"]
            (tmp_path / "new").write_text('["192.0.2.2:80"]')
            (tmp_path / "new").rename(path)
            assert await watched.addresses() == ["192.0.2.2:80"]

    asyncio.run(ask())


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is known by is what was opened, not what the path names a moment later."""
    path = tmp_path / "app.json"
    path.write_text('["192.0.2.1:80"]')
    (tmp_path / "new").write_text('["192.0.2.2:80"]')

    def open_and_replace(named: Path) -> Any:
        opened = open_file(named)
        if (tmp_path / "new").exists():
            (tmp_path / "new").rename(path)
        return opened

    monkeypatch.setattr(file, "open_file", open_and_replace)

    async def ask() -> None:
        async with watching(source(tmp_path, type="file", path="app.json", interval="50ms")) as watched:
            assert await watched.addresses() == ["192.0.2.1:80"]
            assert await watched.addresses() == ["192.0.2.2:80"]

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("content", "reason", "text"),
    [
        (None, "unreachable", "No such file"),
        ("[", "invalid", "not JSON"),
        ("3", "invalid", "expected a table, found 3"),
        ('{"endpoint": []}', "invalid", "did you mean `endpoints`"),
        (
            json.dumps([{"address": "192.0.2.1:80", "weight": 70_000}]),
            "invalid",
            r"endpoints\[0\].weight: expected an integer from 0 to 65535, found 70000",
        ),
        (json.dumps(["a"] * 9), "invalid", "and 6 more"),
        ("[" * 100_000, "invalid", "nested too deeply"),
        (" " * ((1 << 20) + 1), "invalid", "larger than 1 MiB"),
    ],
)
def test_what_cannot_be_read_is_a_failure(tmp_path: Path, content: str | None, reason: str, text: str) -> None:
    if content is not None:
        (tmp_path / "app.json").write_text(content)

    async def ask() -> None:
        async with watching(source(tmp_path, type="file", path="app.json")) as watched:
            with pytest.raises(SourceError, match=text) as failed:
                await watched.endpoints()
            assert failed.value.reason == reason

    asyncio.run(ask())
