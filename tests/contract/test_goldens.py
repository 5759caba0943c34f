"""What the user writes ↔ what the packet path gets, or the exact refusal."""

import json
from pathlib import Path

import pytest
from evenly.config import load

from .goldens import accepted, document_of, refusal_of, refused

ANEW = "run `python -m tests.contract.goldens` and look at the difference"


@pytest.mark.parametrize("path", accepted(), ids=lambda path: path.stem)
def test_document(path: Path) -> None:
    assert document_of(load(path)) == path.with_suffix(".json").read_text(encoding="utf-8"), ANEW


@pytest.mark.parametrize("path", refused(), ids=lambda path: path.stem)
def test_refusal(path: Path) -> None:
    assert refusal_of(path) == path.with_suffix(".txt").read_text(encoding="utf-8"), ANEW


def test_goldens_are_what_they_say() -> None:
    assert len(accepted()) >= 12
    assert len(refused()) >= 25
    for path in refused():
        assert refusal_of(path) != "accepted\n", path.name


@pytest.mark.parametrize("path", accepted(), ids=lambda path: path.stem)
def test_the_packet_path_accepts_it(path: Path) -> None:
    native = pytest.importorskip("evenly._native", reason="the packet path is not built here")
    for warning in json.loads(native.check(path.with_suffix(".json").read_text(encoding="utf-8"))):
        assert warning.keys() == {"path", "message"}
