"""The verbs as a whole: help, mistakes in the command line, and what is not imported for them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Evenly = Callable[..., tuple[int, str, str]]

VERBS = ("run", "check", "status", "reload", "upgrade", "drain", "maintenance", "ready", "demo", "version")


def test_help_names_every_verb(evenly: Evenly) -> None:
    code, out, _ = evenly("--help")
    assert code == 0
    assert all(f" {verb} " in out for verb in VERBS)
    assert max(map(len, out.splitlines())) <= 80


def test_the_version(evenly: Evenly) -> None:
    code, out, _ = evenly("version")
    assert code == 0
    assert out.startswith("evenly 0.1.0 (Python 3.")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run",), "expected one FILE, or --listen"),
        (("run", "a.toml", "b.toml"), "expected one FILE, or --listen"),
        (("run", "--listen", ":0"), "at least one endpoint"),
        (("run", "--listen", ":0", "127.0.0.1:1", "--watch"), "--watch needs a file"),
        (("run", "a.toml", "--admin", "0.0.0.0:9900"), "a path or a loopback address"),
        (("run", "a.toml", "--admin", "relative.sock"), "--admin"),
        (("demo", "--seconds", "1"), "6"),
        (("status", "--nonsense"), "--nonsense"),
    ],
)
def test_a_mistake_in_the_command_line_exits_with_2(evenly: Evenly, arguments: tuple[str, ...], expected: str) -> None:
    code, _, err = evenly(*arguments)
    assert code == 2
    assert expected in " ".join(err.replace("│", " ").split())


def test_endpoints_on_the_command_line_are_checked_as_in_a_file(evenly: Evenly) -> None:
    code, _, err = evenly("run", "--listen", ":0", "127.0.0.1")
    assert code == 2
    assert "error: command line: endpoint 1: " in err


def test_no_verb_but_run_imports_the_api(file: Path) -> None:
    program = """
import sys
from evenly.cli import application
sys.argv = ["evenly", "check", sys.argv[1]]
assert application.run() == 0
print(sorted({"fastapi", "starlette", "uvicorn", "httpx"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
