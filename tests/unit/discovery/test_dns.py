"""Endpoints from A and AAAA records, asked of a DNS server that the test plays."""

import asyncio
from collections.abc import Iterator

import dns.rcode
import pytest
from evenly.discovery.dns import pause
from evenly.discovery.source import Source, SourceError

from tests.support.name_server import NameServer
from tests.unit.discovery.asking import options, source, watching


@pytest.fixture
def server() -> Iterator[NameServer]:
    """Knows `app.test` by two IPv4 addresses."""
    with NameServer() as running:
        running.set("app.test", "A", "192.0.2.1", "192.0.2.2")
        yield running


def asking(server: NameServer, **more: object) -> Source:
    """A source that asks this server often."""
    written = {"type": "dns", "name": "app.test", "port": 9000, "resolver": server.address, "ttl_min": "50ms"}
    return source(**written | {"timeout": "8s"} | more)


def test_each_address_is_an_endpoint(server: NameServer) -> None:
    server.set("app.test", "AAAA", "2001:db8::1")

    async def ask() -> None:
        async with watching(asking(server, weight=7)) as watched:
            found = await watched.endpoints()
            assert {str(each.address) for each in found} == {"192.0.2.1:9000", "192.0.2.2:9000", "[2001:db8::1]:9000"}
            assert {(each.weight, each.backup) for each in found} == {(7, False)}

    asyncio.run(ask())


def test_changes_are_seen_when_the_ttl_has_passed(server: NameServer) -> None:
    async def ask() -> None:
        async with watching(asking(server)) as watched:
            await watched.until(["192.0.2.1:9000", "192.0.2.2:9000"])
            server.set("app.test", "A", "192.0.2.3")
            await watched.until(["192.0.2.3:9000"])

    asyncio.run(ask())


def test_an_alias_is_followed(server: NameServer) -> None:
    server.set("www.test", "CNAME", "app.test.")

    async def ask() -> None:
        async with watching(asking(server, name="www.test")) as watched:
            await watched.until(["192.0.2.1:9000", "192.0.2.2:9000"])

    asyncio.run(ask())


def test_a_long_answer_comes_over_tcp(server: NameServer) -> None:
    server.set("app.test", "A", *(f"10.0.{index // 250}.{index % 250 + 1}" for index in range(700)))

    async def ask() -> None:
        async with watching(asking(server)) as watched:
            assert len(await watched.endpoints()) == 700

    asyncio.run(ask())


def test_only_the_family_that_is_asked_for(server: NameServer) -> None:
    async def ask() -> None:
        async with watching(asking(server, family="ipv4")) as watched:
            await watched.endpoints()

    asyncio.run(ask())
    assert {kind for _, kind in server.asked} == {"A"}


@pytest.mark.parametrize(
    ("rcode", "name", "reason", "text"),
    [
        (dns.rcode.SERVFAIL, "app.test", "refused", "answered SERVFAIL"),
        (dns.rcode.REFUSED, "app.test", "refused", "answered REFUSED"),
        (dns.rcode.NOERROR, "gone.test", "nxdomain", "gone.test does not exist"),
    ],
)
def test_no_answer_is_a_failure(server: NameServer, rcode: dns.rcode.Rcode, name: str, reason: str, text: str) -> None:
    server.rcode = rcode

    async def ask() -> None:
        async with watching(asking(server, name=name)) as watched:
            with pytest.raises(SourceError, match=text) as failed:
                await watched.endpoints()
            assert failed.value.reason == reason

    asyncio.run(ask())


def test_silence_is_a_timeout(server: NameServer) -> None:
    server.silent = True

    async def ask() -> None:
        async with watching(asking(server, timeout="100ms")) as watched:
            with pytest.raises(SourceError, match=r"no DNS server answered within 0\.1 s"):
                await watched.endpoints()

    asyncio.run(ask())


def test_the_next_server_is_asked(server: NameServer) -> None:
    with NameServer() as dead:
        dead.silent = True

        async def ask() -> None:
            both = [dead.address, server.address]
            async with watching(asking(server, resolver=both, timeout="3s")) as watched:
                await watched.until(["192.0.2.1:9000", "192.0.2.2:9000"])

        asyncio.run(ask())


def test_nothing_is_an_answer_where_the_user_says_so(server: NameServer) -> None:
    async def ask() -> None:
        async with watching(asking(server, name="gone.test", when_empty="apply")) as watched:
            assert await watched.endpoints() == []

    asyncio.run(ask())


@pytest.mark.parametrize(("ttl", "seconds"), [(0, 2.0), (30, 30.0), (86_400, 60.0)])
def test_the_ttl_is_kept_within_bounds(ttl: int, seconds: float) -> None:
    written = options(type="dns", name="app.test", port=1, ttl_min="2s", ttl_max="1m")
    assert pause(written, ttl) == seconds  # type: ignore[arg-type]
