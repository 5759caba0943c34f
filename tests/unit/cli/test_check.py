"""`evenly check`."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from evenly.control import dataplane


@pytest.fixture(autouse=True)
def no_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packet path has nothing to say."""
    monkeypatch.setattr(dataplane._native, "check", lambda _: "[]")


def test_a_good_file_is_summed_up(evenly: Callable[..., tuple[int, str, str]], file: Path) -> None:
    assert evenly("check", str(file)) == (0, "ok: 1 listener, 1 pool with 2 endpoints, 1 route\n", "")


def test_every_problem_has_its_line(evenly: Callable[..., tuple[int, str, str]], file: Path) -> None:
    file.write_text(file.read_text().replace("endpoints", "endponts").replace("127.0.0.1:0", "nowhere"))
    code, out, err = evenly("check", str(file))
    assert (code, out) == (2, "")
    assert f"error: {file}:2: listeners.web.bind: " in err
    assert f"error: {file}:5: pools.app.endponts: unknown key; did you mean `endpoints`?" in err


def test_problems_as_json(evenly: Callable[..., tuple[int, str, str]], file: Path) -> None:
    file.write_text(file.read_text().replace("127.0.0.1:0", "nowhere"))
    code, out, _ = evenly("check", str(file), "--json")
    report = json.loads(out)
    assert (code, report["ok"]) == (2, False)
    assert (report["problems"][0]["line"], report["problems"][0]["path"]) == (2, "listeners.web.bind")


def test_warnings_point_into_the_file(
    evenly: Callable[..., tuple[int, str, str]], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warning = json.dumps([{"path": "pools[0].endpoints[1]", "message": "is never used"}])
    monkeypatch.setattr(dataplane._native, "check", lambda _: warning)
    code, _, err = evenly("check", str(file))
    assert (code, err) == (0, f"warning: {file}:5: pools.app.endpoints[1]: is never used\n")
    code, out, err = evenly("check", str(file), "--json")
    assert (code, err, json.loads(out)["warnings"][0]["line"]) == (0, "", 5)


def test_the_long_form_is_toml_that_checks_again(
    evenly: Callable[..., tuple[int, str, str]], file: Path, tmp_path: Path
) -> None:
    code, out, err = evenly("check", str(file), "--expand")
    assert (code, err) == (0, "")
    assert tomllib.loads(out)["pools"]["app"]["balance"] == "round-robin"
    again = tmp_path / "again.toml"
    again.write_text(out)
    assert evenly("check", str(again), "--expand")[:2] == (0, out)


def test_a_file_that_is_not_there(evenly: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = evenly("check", "nowhere.toml")
    assert (code, err) == (2, "error: nowhere.toml: there is no such file\n")
