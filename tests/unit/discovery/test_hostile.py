"""Whatever a source answers, it is endpoints or a failure with a reason; nothing else is raised or shown raw."""

import json
from collections.abc import Callable

import pytest
from evenly.config.schema import Endpoint
from evenly.discovery.consul import instances
from evenly.discovery.docker import containers
from evenly.discovery.listing import parse
from evenly.discovery.source import LONGEST_TEXT, SourceError
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.discovery.asking import options

Reader = Callable[[bytes], list[Endpoint]]

CONSUL = options(type="consul", service="app")
DOCKER = options(type="docker")
READERS: dict[str, Reader] = {
    "listing": lambda raw: parse(raw, "json", 1),
    "toml": lambda raw: parse(raw, "toml", 1),
    "consul": lambda raw: instances(raw, CONSUL)[0],  # type: ignore[arg-type]
    "docker": lambda raw: containers(raw, DOCKER)[0],  # type: ignore[arg-type]
}

# The keys that the sources look at, so that what is made up gets past the first of them.
KEYS = st.sampled_from(
    ["endpoints", "address", "weight", "backup", "Service", "Node", "Address", "Port", "Weights", "Passing", "Id",
     "Names", "Labels", "Ports", "PrivatePort", "Type", "NetworkSettings", "Networks", "IPAddress", "GlobalIPv6Address",
     "evenly.port", "evenly.weight"]
)  # fmt: skip
PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["192.0.2.1:80", "192.0.2.1", "80", "tcp", "\ud800", "\x1b[2J"])
)  # fmt: skip
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=25
)


def read(reader: Reader, raw: bytes) -> None:
    """Reads an answer; looks at what is said if it is refused."""
    try:
        found = reader(raw)
    except SourceError as error:
        text = str(error)
        assert text
        assert len(text) <= LONGEST_TEXT + 1
        assert text.isprintable()
        text.encode()
    else:
        assert all(isinstance(each, Endpoint) for each in found)


@pytest.mark.parametrize("name", ["listing", "consul", "docker"])
def test_any_json(name: str) -> None:
    @given(VALUES)
    def check(value: object) -> None:
        read(READERS[name], json.dumps(value).encode())
        read(READERS[name], json.dumps([value]).encode())

    check()


@pytest.mark.parametrize("name", READERS)
def test_any_bytes(name: str) -> None:
    @given(st.binary(max_size=200))
    def check(raw: bytes) -> None:
        read(READERS[name], raw)

    check()


def test_what_is_quoted_is_cut_and_printable() -> None:
    error = SourceError("invalid", "\x1b[2J" + "\ud800" + "x" * 10_000)
    assert str(error).startswith("?[2J?xxx")
    assert len(str(error)) == LONGEST_TEXT + 1
