"""The table of sources, and what it costs those who use none."""

import subprocess
import sys
from typing import get_args

from evenly.config.schema import Discovery
from evenly.config.schema.discovery import SOURCES as TYPES
from evenly.discovery.source import Place
from evenly.discovery.sources import SOURCES, source_for

from tests.unit.discovery.asking import options

REQUIRED = {
    "dns": {"name": "app.test", "port": 80},
    "srv": {"name": "_http._tcp.test"},
    "file": {"path": "app.json"},
    "http": {"url": "http://127.0.0.1/"},
    "consul": {"service": "app"},
    "docker": {},
}


def test_each_type_has_a_source_that_says_what_it_asks(tmp_path) -> None:
    members = [get_args(member)[0] for member in get_args(get_args(Discovery)[0])]
    assert list(SOURCES) == members
    assert tuple(REQUIRED) == TYPES
    for kind, required in REQUIRED.items():
        assert source_for(options(type=kind, **required), Place("app", tmp_path)).name.startswith(f"{kind} ")


def test_what_is_not_used_is_not_imported() -> None:
    program = "import sys, evenly.control.endpoints; print(sorted({'dns', 'httpx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
