"""Which hosts may be asked about, and how often."""

import asyncio
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from evenly.certificates import demand
from evenly.certificates.demand import MOST_REFUSED, Bounds, DemandError, allows, matches
from evenly.config.schema.acme import OnDemand
from evenly.config.schema.units import Rate


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("shop.test", True),
        ("a.customers.test", True),
        ("customers.test", False),
        ("a.b.customers.test", False),
        ("other.test", False),
    ],
)
def test_patterns_are_exact_or_one_label(host, expected) -> None:
    """As in `evenly_core::certificates::Patterns`."""
    assert matches(["Shop.test", "*.customers.test"], host) is expected


def test_every_host_is_no_address_and_no_single_label() -> None:
    assert matches(["*"], "a.b.c.test")
    assert not matches(["*"], "localhost")
    assert not matches(["*"], "10.0.0.1")


def test_so_many_questions_in_a_time() -> None:
    bounds = Bounds(Rate.parse("2/m"))
    assert [bounds.admits(now) for now in (0, 10, 59, 60, 61, 70)] == [True, True, False, True, False, True]


def test_a_refusal_is_remembered_for_its_time_and_no_more_of_them_than_so_many() -> None:
    bounds = Bounds(Rate.parse("1/s"))
    bounds.refuse("a.test", 0, 30)
    assert bounds.remembers("a.test", 29)
    assert not bounds.remembers("a.test", 30)
    assert not bounds.remembers("b.test", 0)
    for number in range(MOST_REFUSED):
        bounds.refuse(f"{number}.test", 0, 30)
    assert not bounds.remembers("a.test", 1), "the first one is forgotten"
    assert bounds.remembers("0.test", 1)
    bounds.refuse("0.test", 1, 30)
    bounds.refuse("one-more.test", 1, 30)
    assert bounds.remembers("0.test", 1), "whoever is refused again is not the first any more"
    assert not bounds.remembers("1.test", 1)


@pytest.mark.parametrize(
    "host",
    ["_dmarc.a.test", "a..test", ".a.test", "a.test.", "-a.b.test", "a-.b.test", f"{'a' * 64}.b.test", "*.b.test", ""],
)
def test_what_no_issuer_certifies_is_no_host(host) -> None:
    assert not matches(["*", "*.a.test", "*.b.test", "*.test"], host)


def test_after_failures_a_host_waits_longer_each_time() -> None:
    """As renewals do; being refused, or busy, in between does not start that anew, and a certificate does."""
    bounds = Bounds(Rate.parse("1/s"), lambda: 1.0)
    now, pauses = 0.0, []
    for _ in range(10):
        bounds.failed("a.test", now)
        pause = next(minutes for minutes in range(1, 500) if not bounds.remembers("a.test", now + minutes * 60))
        pauses.append(pause)
        now += pause * 60
        bounds.refuse("a.test", now, 5)
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 360, 360]
    bounds.issued("a.test")
    assert not bounds.remembers("a.test", now)
    bounds.failed("a.test", now)
    assert not bounds.remembers("a.test", now + 120)


@pytest.mark.parametrize("query", ["?token=x&of=a%20b", "?token=x&of=a+b&domain=mine.test"])
def test_the_question_keeps_what_the_url_asks_already(query) -> None:
    """And the host is the one that a client wants, whatever the URL says."""
    lines: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append((await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def scene() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            assert await allows(OnDemand(hosts=["*"], ask=f"http://127.0.0.1:{port}/is-ours{query}"), "a.test")

    asyncio.run(scene())
    (line,) = lines
    path, _, asked = line.decode().split(" ")[1].partition("?")
    assert path == "/is-ours"
    assert parse_qs(asked) == {"token": ["x"], "of": ["a b"], "domain": ["a.test"]}


def program(tmp_path: Path, text: str) -> OnDemand:
    """Who decides is a shell script, with an argument before the host."""
    script = tmp_path / "is-ours"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    return OnDemand(hosts=["*"], command=[str(script), "first"])


def test_a_program_says_yes_or_no(tmp_path) -> None:
    """It gets the host as it is, behind its own arguments, and no shell sees it."""
    options = program(tmp_path, '[ "$1" = first ] && [ "$2" = "a.test" ] && [ $# = 2 ]')
    assert asyncio.run(allows(options, "a.test"))
    assert not asyncio.run(allows(options, "a.test b"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("echo one >&2; echo no database >&2; exit 2", "is-ours ended with 2: no database"),
        ("kill -9 $$", "is-ours ended with -9"),
        # As if what it has started held its output open; `exec` so that nothing is left behind.
        ("exec tail -f /dev/null", "is-ours gives no answer within 0.2 s"),
    ],
)
def test_whatever_else_a_program_does_is_no_answer(tmp_path, monkeypatch, text, told) -> None:
    if "tail" in text:
        monkeypatch.setattr(demand, "ANSWER_SECONDS", 0.2)
    with pytest.raises(DemandError, match=told):
        asyncio.run(allows(program(tmp_path, text), "a.test"))


def test_a_program_that_is_not_there_is_no_answer(tmp_path) -> None:
    options = OnDemand(hosts=["*"], command=[str(tmp_path / "missing")])
    with pytest.raises(DemandError, match="missing cannot be run: No such file"):
        asyncio.run(allows(options, "a.test"))
