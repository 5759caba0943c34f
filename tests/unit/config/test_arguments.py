"""Running without a file."""

import json

import pytest
from evenly.config import ConfigError, document, from_arguments, resolve

from .writing import MACHINE


def test_requests_are_balanced() -> None:
    loaded = from_arguments([":8080"], ["10.0.0.1:9000", "10.0.0.2:9000"])
    made = json.loads(document(resolve(loaded, MACHINE)).text)
    assert made["listeners"][0]["bind"] == ["0.0.0.0:8080"]
    assert [endpoint["address"] for endpoint in made["pools"][0]["endpoints"]] == ["10.0.0.1:9000", "10.0.0.2:9000"]
    assert made["pools"][0]["health_check"]["probe"]["type"] == "tcp"
    assert made["routes"][0]["action"] == {"type": "pool", "pool": "main"}


def test_streams_are_balanced() -> None:
    made = json.loads(document(resolve(from_arguments([":5432"], ["10.0.0.1:5432"], "tcp"), MACHINE)).text)
    assert made["listeners"][0]["pool"] == "main"
    assert made["routes"] == []


def test_mistakes_name_the_argument() -> None:
    with pytest.raises(ConfigError) as refused:
        from_arguments([":x"], ["10.0.0.1:9000", "nonsense"], "quic")
    listen, protocol, endpoint = str(refused.value).splitlines()
    assert listen.startswith("command line: --listen: expected an address and port such as")
    assert protocol == 'command line: --protocol: expected "http", "tcp" or "udp", found "quic"'
    assert endpoint.startswith("command line: endpoint 2: expected an address and port such as")
    assert endpoint.endswith('found "nonsense"; the port is missing')


def test_names_that_are_not_found_name_the_argument() -> None:
    def look_up(_: str) -> list[str]:
        raise OSError("no answer")

    with pytest.raises(ConfigError, match='command line: endpoint 1: "a" cannot be looked up: no answer'):
        resolve(from_arguments([":80"], ["a:80"]), MACHINE, look_up)
