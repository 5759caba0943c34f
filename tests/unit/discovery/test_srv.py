"""Endpoints from SRV records, asked of a DNS server that the test plays."""

import asyncio
from collections.abc import Iterator

import pytest
from evenly.discovery.source import Source, SourceError
from evenly.discovery.srv import Record, usable_records, weights_of

from tests.support.name_server import NameServer
from tests.unit.discovery.asking import source, watching

NAME = "_http._tcp.app.test"


@pytest.fixture
def server() -> Iterator[NameServer]:
    """Knows two targets."""
    with NameServer() as running:
        running.set("a.test", "A", "192.0.2.1")
        running.set("b.test", "A", "192.0.2.2", "192.0.2.3")
        yield running


def asking(server: NameServer, **more: object) -> Source:
    """A source that asks this server."""
    written = {"type": "srv", "name": NAME, "resolver": server.address, "ttl_min": "50ms", "timeout": "2s"}
    return source(**written | more)


def found(server: NameServer, **more: object) -> dict[str, tuple[int, int]]:
    """Weight and priority by address, of the first answer."""

    async def ask() -> dict[str, tuple[int, int]]:
        async with watching(asking(server, **more)) as watched:
            return {str(each.address): (each.weight, each.priority) for each in await watched.endpoints()}

    return asyncio.run(ask())


def test_port_weight_and_priority(server: NameServer) -> None:
    """Of the priorities only the order counts."""
    server.set(NAME, "SRV", "10 60 8001 a.test.", "10 40 8002 b.test.", "20 5 8003 a.test.", "9000 1 8004 a.test.")
    assert found(server) == {
        "192.0.2.1:8001": (60, 0),
        "192.0.2.2:8002": (40, 0),
        "192.0.2.3:8002": (40, 0),
        "192.0.2.1:8003": (5, 1),
        "192.0.2.1:8004": (1, 2),
    }


def test_a_target_that_is_gone_does_not_hold_up_the_others(server: NameServer) -> None:
    """And if that was all of a priority, the next one is the first."""
    server.set(NAME, "SRV", "10 1 8001 gone.test.", "20 1 8002 a.test.")
    assert found(server) == {"192.0.2.1:8002": (1, 0)}


def test_a_target_that_is_no_host_does_not_hold_up_the_others(server: NameServer) -> None:
    server.set(NAME, "SRV", "10 1 8001 a+b.test.", "10 1 8002 a.test.")
    server.set("a+b.test", "A", "192.0.2.9")

    async def ask() -> None:
        async with watching(asking(server)) as watched:
            assert await watched.addresses() == ["192.0.2.1:8002"]
            assert "a+b.test.: 192.0.2.9: expected a host's name" in str(watched.unusable)

    asyncio.run(ask())


def test_no_such_service(server: NameServer) -> None:
    server.set(NAME, "SRV", "0 0 0 .")
    assert found(server) == {}


def test_a_name_that_does_not_exist(server: NameServer) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        found(server)
    assert found(server, when_empty="apply") == {}


def test_targets_are_bounded_before_they_are_asked_for(server: NameServer) -> None:
    server.set(NAME, "SRV", *(f"1 1 {8000 + index} a{index}.test." for index in range(50)))
    server.set("a0.test", "A", "192.0.2.1")
    found(server, max_endpoints=5, family="ipv4")
    assert sum(count for (_, kind), count in server.asked.items() if kind == "A") == 5


def test_weights() -> None:
    """RFC 2782: none at all is even; zero beside others is a very small chance."""

    def of(*weights: int) -> list[int]:
        return weights_of([Record(1, weight, 80, "a.") for weight in weights], default=9)

    assert of(0, 0) == [9, 9]
    assert of(3, 1) == [3, 1]
    assert of(3, 0) == [300, 1]
    assert of(65_535, 0) == [65_535, 1]


def test_records_that_name_nothing_are_left_out() -> None:
    assert usable_records([Record(0, 0, 80, "."), Record(0, 0, 0, "a."), Record(0, 0, 1, "b.")], 10) == [
        Record(0, 0, 1, "b.")
    ]
