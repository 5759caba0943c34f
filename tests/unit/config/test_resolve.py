"""What settings become on a machine: numbers, addresses and contents of files."""

from pathlib import Path

import pytest
from evenly.config import ConfigError, Machine, Resolved, resolve

from .writing import APP, MACHINE, WEB, read


def nothing_is_known(name: str) -> list[str]:
    raise OSError(f"no lookup of {name} was expected")


def resolved(text: str, directory: Path = Path(), machine: Machine = MACHINE) -> Resolved:
    return resolve(read(text, directory), machine, nothing_is_known)


def refusal(text: str, directory: Path = Path()) -> str:
    with pytest.raises(ConfigError) as refused:
        resolved(text, directory)
    return str(refused.value)


def test_workers() -> None:
    assert resolved(WEB + APP).workers == 8
    assert resolved("workers = 3\n" + WEB + APP).workers == 3


def test_connections_stay_under_half_of_the_descriptors() -> None:
    small = Machine(cores=1, descriptors=1024, runtime_directory=Path("/run/evenly"))
    quiet = resolved(WEB + APP, machine=small)
    assert (quiet.max_connections, quiet.warnings) == (448, [])
    asked = resolved("max_connections = 1000\n" + WEB + APP, machine=small)
    assert asked.max_connections == 448
    assert [str(warning) for warning in asked.warnings] == [
        "evenly.toml:1: max_connections: cut to 448: two descriptors each, of the 1,024 that the limit leaves, "
        "128 of them for the process itself"
    ]
    assert resolved("max_connections = 400\n" + WEB + APP, machine=small).max_connections == 400
    large = Machine(cores=1, descriptors=20_000, runtime_directory=Path("/run/evenly"))
    assert resolved(WEB + APP, machine=large).max_connections == 10_000


def test_names_become_sorted_distinct_addresses() -> None:
    loaded = read(WEB + '[pools.app]\nendpoints = ["b.internal:1", { address = "10.0.0.9:1", weight = 5 }]\n')
    answers = ["fd00::1", "10.0.0.10", "10.0.0.2", "10.0.0.2"]
    endpoints = resolve(loaded, MACHINE, lambda _: answers).endpoints["app"]
    assert [(e.index, e.address, e.options.weight) for e in endpoints] == [
        (0, "10.0.0.2:1", 1),
        (0, "10.0.0.10:1", 1),
        (0, "[fd00::1]:1", 1),
        (1, "10.0.0.9:1", 5),
    ]


def test_a_name_is_looked_up_once() -> None:
    asked: list[str] = []

    def look_up(name: str) -> list[str]:
        asked.append(name)
        return ["10.0.0.1"]

    text = (
        WEB
        + '[pools]\na = { endpoints = ["x:1", "x:2"] }\nb = { endpoints = ["X:1"] }\n'
        + "[[routes]]\nsplit = { a = 1, b = 1 }"
    )
    resolve(read(text), MACHINE, look_up)
    assert asked == ["x"]


def test_a_resolver_that_answers_nonsense_is_a_problem_and_not_a_crash() -> None:
    loaded = read(WEB + '[pools.app]\nendpoints = ["x:1"]\n')
    with pytest.raises(ConfigError, match="cannot be looked up"):
        resolve(loaded, MACHINE, lambda _: ["nonsense"])


def test_all_problems_at_once(tmp_path: Path) -> None:
    text = "[error_pages]\n404 = 'none.html'\n" + WEB + "[pools.app]\nendpoints = ['x:1', 'y:1']\n"
    assert len(refusal(text, tmp_path).splitlines()) == 3


def test_pages_are_read_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "503.html").write_text("später")
    pages = resolved("[error_pages]\n503 = '503.html'\n404 = { body = 'x' }\n" + WEB + APP, tmp_path).error_pages
    assert {status: page.body for status, page in pages.items()} == {503: "später", 404: "x"}


def test_pages_that_do_not_do(tmp_path: Path) -> None:
    (tmp_path / "large.html").write_bytes(b"x" * ((1 << 20) + 1))
    (tmp_path / "latin.html").write_bytes(b"caf\xe9")
    text = "[error_pages]\n502 = 'large.html'\n503 = 'latin.html'\n504 = '.'\n" + WEB + APP
    large, latin, directory = refusal(text, tmp_path).splitlines()
    assert large.endswith("large.html is larger than 1,024 KiB")
    assert latin.endswith("latin.html is not UTF-8: byte 3")
    assert directory.endswith("cannot be read: Is a directory")


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    assert resolved("access_log = 'logs/access.log'\n" + WEB + APP, tmp_path).access_log_path == str(
        tmp_path / "logs" / "access.log"
    )
    assert resolved("access_log = '-'\n" + WEB + APP, tmp_path).access_log_path == "-"
    assert resolved(WEB + APP).access_log_path is None


def test_admin() -> None:
    assert str(resolved(WEB + APP).admin.bind) == "/run/evenly/admin.sock"
    assert str(resolved('admin = { bind = "[::1]:9900" }\n' + WEB + APP).admin.bind) == "[::1]:9900"
    assert str(resolved('admin = { bind = "/run/x.sock" }\n' + WEB + APP).admin.bind) == "/run/x.sock"


def test_the_token_is_read_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret-1234\n")
    admin = resolved('admin = { bind = "10.0.0.1:9900", token_file = "token" }\n' + WEB + APP, tmp_path).admin
    assert admin.token == "secret-1234"
    assert "secret" not in repr(admin)


@pytest.mark.parametrize("content", ["", "\n", "two words", "schlüssel", "a\x00b"])
def test_tokens_that_do_not_do(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    problem = refusal('admin = { bind = "10.0.0.1:9900", token_file = "token" }\n' + WEB + APP, tmp_path)
    assert problem.endswith("admin.token_file: expected a file with one word of ASCII characters")


def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/one:/run/two")
    here = Machine.here()
    assert here.cores >= 1
    assert here.descriptors >= 1
    assert here.runtime_directory == Path("/run/one")
