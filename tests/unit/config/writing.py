"""What the tests of this folder share: a text to read, a machine that is the same everywhere, patience."""

from pathlib import Path

import pytest
from evenly.config import ConfigError, Loaded, Machine, load_text
from hypothesis import HealthCheck, settings

MACHINE = Machine(cores=8, descriptors=200_000, runtime_directory=Path("/run/evenly"))

# A busy machine draws slowly; that says nothing of the code under test.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

WEB = '[listeners.web]\nbind = ":8080"\n'
APP = '[pools.app]\nendpoints = ["10.0.0.1:9000"]\n'


def read(text: str, directory: Path = Path()) -> Loaded:
    """Loads a text as if it were `evenly.toml`."""
    return load_text(text, "evenly.toml", directory)


def refusal(text: str) -> str:
    """The problems of a text that must be refused."""
    with pytest.raises(ConfigError) as refused:
        read(text)
    return str(refused.value)
