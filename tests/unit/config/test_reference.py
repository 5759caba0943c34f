"""The reference: current, complete, and every example in it works."""

import re
import tomllib
from pathlib import Path

import pytest
from evenly.config import ConfigError, Settings
from evenly.config.reference import json_schema, main, reference, stale, tables
from evenly.config.schema import Table, options

from .writing import read

ROOT = Path(__file__).parents[3]


def test_it_is_current() -> None:
    assert stale(ROOT / "docs" / "reference") == [], "run `make docs`"


def test_it_is_checked_and_written(tmp_path: Path) -> None:
    directory = tmp_path / "docs" / "reference"
    with pytest.raises(SystemExit, match="out of date"):
        main(["--check", str(directory)])
    main([str(directory)])
    main(["--check", str(directory)])
    with pytest.raises(SystemExit, match="usage"):
        main([])


def test_every_option_is_described() -> None:
    for table in tables(Settings):
        assert table.heading, table
        assert table.where, table
        assert table.__doc__, table
        for name, field in options(table).items():
            assert field.description, f"{table.__name__}.{name}"
            assert f"`{name}`" in reference()


def test_every_link_has_its_section() -> None:
    page = reference()
    anchors = {re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")) for title in re.findall(r"^## (.*)$", page, re.M)}
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) <= anchors


@pytest.mark.parametrize(
    "table", [table for table in tables(Settings) if table.example], ids=lambda table: table.__name__
)
def test_every_example_works(table: type[Table]) -> None:
    """Examples are excerpts: what they leave out is added, and what they say must be accepted."""
    text = table.example
    used = set(re.findall(r'pool = "([^"]*)"', text)) | ({"stable", "canary"} if "canary" in text else set())
    data = tomllib.loads(text)
    if "listeners" not in data:
        text += '\n[listeners.web]\nbind = ":8080"\n'
    for pool in used - set(data.get("pools", {})):
        text += f'\n[pools.{pool}]\nendpoints = ["10.0.0.1:9000"]\n'
    if "routes" not in data:
        text += "\n[[routes]]\nrespond = {}\n" if not re.search(r'"(tcp|udp)"', text) or "pools" in data else ""
    try:
        read(text)
    except ConfigError as error:
        pytest.fail(f"{error}\n{text}")


def test_examples_of_options_are_valid_toml() -> None:
    for example in re.findall(r"Example: `([^`]*)`", reference()):
        tomllib.loads(example)


def test_editors_get_defaults_as_one_writes_them() -> None:
    schema = json_schema()
    assert '"default": "32KiB"' in schema
    assert "milliseconds" not in schema
