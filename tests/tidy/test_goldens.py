"""Goldens and examples: none is lonely, none is left out."""

import re
from pathlib import Path

from .tree import files


def test_each_configuration_has_its_document() -> None:
    """tests/golden/config: what the user writes stands beside what the packet path gets."""
    golden = [path for path in files(".toml", ".json") if path.is_relative_to("tests/golden/config")]
    toml = {path.stem for path in golden if path.suffix == ".toml"}
    json = {path.stem for path in golden if path.suffix == ".json"}
    assert json - toml == set(), "a document without the configuration it comes from"


def test_examples_are_numbered() -> None:
    """examples/NN-name: read in this order; each has a README that says what it shows."""
    folders = {path.parts[1] for path in files() if path.parts[0] == "examples" and len(path.parts) > 2}
    for folder in sorted(folders):
        assert re.match(r"\d\d-", folder), f"examples/{folder} has no number"
        assert Path("examples", folder, "README.md") in files(), f"examples/{folder} has no README.md"
