"""The command line, called as the console script calls it."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from evenly.cli import application
from evenly.control.process import logs

from tests.unit.control.conftest import file, native, supervisor

__all__ = ["file", "native", "supervisor"]

Called = tuple[int, str, str]
"""Exit code, standard output, standard error."""


@pytest.fixture
def evenly(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[..., Called]]:
    """Runs `evenly` with arguments, where no other Evenly is found by default."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "nobody"))
    monkeypatch.setattr("evenly.cli.client.SYSTEM_SOCKET", tmp_path / "nobody" / "admin.sock")
    monkeypatch.delenv("EVENLY_ADMIN", raising=False)
    monkeypatch.delenv("EVENLY_TOKEN_FILE", raising=False)

    # What a supervisor within a test logs is not what the verb prints.
    logs.configure(io.StringIO())

    def call(*arguments: str) -> Called:
        monkeypatch.setattr("sys.argv", ["evenly", *arguments])
        code = application.run()
        logs.configure(io.StringIO())
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield call
    structlog.reset_defaults()
