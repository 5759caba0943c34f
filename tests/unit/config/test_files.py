"""Files that hold a key: read as they are, and never waited for."""

import os
from pathlib import Path

import pytest
from evenly.config.files import LARGEST_SECRET, read_secret


def test_a_secret_is_read_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("c2VjcmV0\n")
    assert read_secret(file) == "c2VjcmV0"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """Whoever opened a pipe without a writer would wait for one."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="a pipe, not a file"):
        read_secret(tmp_path / "pipe")


def test_what_is_too_large_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"x" * (LARGEST_SECRET + 1))
    with pytest.raises(OSError, match="larger than 65,536 bytes"):
        read_secret(file)
