"""Every example is a configuration that `evenly check` accepts without a word."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.authority import Authority

EXAMPLES = Path(__file__).parents[3] / "examples"
FOLDERS = sorted(path.parent.name for path in EXAMPLES.glob("*/evenly.toml"))


def test_each_folder_is_numbered_described_and_listed() -> None:
    folders = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
    assert folders == FOLDERS
    assert [int(re.match(r"\d\d", name)[0]) for name in folders] == list(range(1, len(folders) + 1))  # type: ignore[index]
    listed = re.findall(r"^\| \[(.+?)\]", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert listed == folders
    assert all((EXAMPLES / name / "README.md").read_text().startswith("# ") for name in folders)


@pytest.mark.parametrize("name", FOLDERS)
def test_it_checks(
    name: str, evenly: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder)
    (folder / "token").write_text("0123456789abcdef")
    (folder / "token").chmod(0o600)
    for stem in ("shop", "site"):
        Authority(folder).issue(f"{stem}.test", file=stem)
    # Names of other containers are not known here.
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("192.0.2.1", 0))])
    code, out, err = evenly("check", str(folder / "evenly.toml"))
    assert (code, err) == (0, "")
    assert out.startswith("ok: ")
