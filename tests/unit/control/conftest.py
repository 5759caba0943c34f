"""A supervisor over a recording packet path, with a configuration file of its own."""

from pathlib import Path

import pytest
from evenly.control.dataplane import Dataplane
from evenly.control.origin import Origin
from evenly.control.supervisor import Supervisor

from tests.unit.control.recording import RecordingDataplane, SilentAdmin

CONFIGURATION = """\
[listeners.web]
bind = "127.0.0.1:0"

[pools.app]
endpoints = ["127.0.0.1:9001", "127.0.0.1:9002"]

[admin]
bind = "{admin}"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration with one listener and one pool of two endpoints."""
    path = tmp_path / "evenly.toml"
    path.write_text(CONFIGURATION.format(admin=tmp_path / "admin.sock"))
    return path


@pytest.fixture
def native(file: Path) -> RecordingDataplane:
    """The packet path of `supervisor`."""
    return RecordingDataplane(Origin.of_file(file).read().document.text)


@pytest.fixture
def supervisor(file: Path, native: RecordingDataplane) -> Supervisor:
    """A supervisor that serves."""
    origin = Origin.of_file(file)
    admin = SilentAdmin(str(file.parent / "admin.sock"))
    return Supervisor(origin, origin.read(), Dataplane(native), admin, SilentAdmin.open)  # type: ignore[arg-type]
