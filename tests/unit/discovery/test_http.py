"""Endpoints from a document behind a URL, asked of a server that the test plays."""

import asyncio
from pathlib import Path

import pytest
from evenly.discovery.source import SourceError

from tests.support.json_server import Asked, Reply, serving
from tests.unit.discovery.asking import source, watching


def test_a_document_that_has_not_changed_is_not_sent_again() -> None:
    document, seen = ["192.0.2.1:80"], list[tuple[str | None, int]]()

    async def answer(asked: Asked) -> Reply:
        tag, known = f'"{len(document)}"', asked.headers.get("if-none-match")
        seen.append((known, 304 if known == tag else 200))
        return Reply(seen[-1][1], {"endpoints": document}, {"ETag": tag})

    async def ask() -> None:
        async with serving(answer) as url:
            asked = source(type="http", url=f"{url}/app.json?secret=x", interval="50ms")
            assert asked.name == f"http {url}/app.json"
            async with watching(asked) as watched:
                assert await watched.addresses() == ["192.0.2.1:80"]
                assert await watched.addresses() == ["192.0.2.1:80"]
                document.append("192.0.2.2:80")
                await watched.until(["192.0.2.1:80", "192.0.2.2:80"])

    asyncio.run(ask())
    assert seen[:2] == [(None, 200), ('"1"', 304)]
    assert ('"1"', 200) in seen


def test_an_answer_that_cannot_be_read_is_sent_again() -> None:
    """Its ETag must not be remembered."""
    tags = list[str | None]()

    async def answer(asked: Asked) -> Reply:
        tags.append(asked.headers.get("if-none-match"))
        return Reply(200, "no JSON", {"ETag": '"1"'})

    async def ask() -> None:
        async with serving(answer) as url:
            asked = source(type="http", url=url)
            for _ in range(2):
                async with watching(asked) as watched:
                    with pytest.raises(SourceError, match="not JSON"):
                        await watched.endpoints()

    asyncio.run(ask())
    assert tags == [None, None]


def test_the_token_is_read_each_time(tmp_path: Path) -> None:
    tokens = list[str | None]()
    (tmp_path / "token").write_text("first\n")

    async def answer(asked: Asked) -> Reply:
        tokens.append(asked.headers.get("authorization"))
        return Reply(body=[f"192.0.2.{len(tokens)}:80"])

    async def ask() -> None:
        async with serving(answer) as url:
            asked = source(tmp_path, type="http", url=url, token_file="token", interval="50ms")
            async with watching(asked) as watched:
                await watched.endpoints()
                (tmp_path / "token").write_text("second\n")
                while "Bearer second" not in tokens:
                    await watched.endpoints()

    asyncio.run(ask())
    assert tokens[0] == "Bearer first"


@pytest.mark.parametrize(
    ("reply", "reason", "text"),
    [
        (Reply(503, "down for today\nmore"), "refused", r"answered 503 \(down for today\)"),
        (Reply(403), "denied", "answered 403"),
        (Reply(302, headers={"Location": "http://127.0.0.1:1/"}), "refused", "answered 302"),
        (Reply(200, " " * ((1 << 20) + 1)), "invalid", "more than 1 MiB"),
        (Reply(200, {"endpoints": ["app.internal:80"], "more": 1}), "invalid", "more: unknown key"),
    ],
)
def test_no_good_answer_is_a_failure(reply: Reply, reason: str, text: str) -> None:
    async def answer(_: Asked) -> Reply:
        return reply

    async def ask() -> None:
        async with serving(answer) as url, watching(source(type="http", url=url)) as watched:
            with pytest.raises(SourceError, match=text) as failed:
                await watched.endpoints()
            assert failed.value.reason == reason

    asyncio.run(ask())


def test_silence_is_a_timeout_and_nobody_is_unreachable() -> None:
    async def answer(_: Asked) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError("never")

    async def ask() -> None:
        async with serving(answer) as url, watching(source(type="http", url=url, timeout="50ms")) as watched:
            with pytest.raises(SourceError, match=r"no answer within 0\.05 s"):
                await watched.endpoints()
        async with watching(source(type="http", url=url)) as watched:
            with pytest.raises(SourceError, match="cannot connect"):
                await watched.endpoints()

    asyncio.run(ask())
