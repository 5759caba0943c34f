"""What the tests of sources share: options as a user writes them, and a source that is watched until the test ends."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from evenly.config.load import Source as Text
from evenly.config.load import load_source
from evenly.config.schema import Discovery, Endpoint
from evenly.discovery.source import Place, Source, Unusable
from evenly.discovery.sources import source_for

DEADLINE = 10.0


def options(**written: Any) -> Discovery:
    """Options of a pool's `discovery`, through the schema."""
    data = {"listeners": {"web": {"bind": ":8080"}}, "pools": {"app": {"discovery": written}}}
    found = load_source(Text("test", Path(), "", data)).settings.pools["app"].discovery
    assert found is not None
    return found


def source(directory: Path = Path(), **written: Any) -> Source:
    """The source that these options describe, for the pool `app`."""
    return source_for(options(**written), Place("app", directory))


class Watched:
    """Answers as they come."""

    def __init__(self) -> None:
        self._answers: asyncio.Queue[Sequence[Endpoint]] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None
        self.unusable = Unusable()
        """Of the last answer."""

    def report(self, answer: Sequence[Endpoint], unusable: Unusable | None = None) -> None:
        self.unusable = unusable or Unusable()
        self._answers.put_nowait(answer)

    async def endpoints(self) -> list[Endpoint]:
        """The next answer; fails as the source does if that comes first."""
        assert self.task is not None
        coming = asyncio.create_task(self._answers.get())
        done, _ = await asyncio.wait({coming, self.task}, timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        if coming in done:
            return list(coming.result())
        coming.cancel()
        assert self.task.done(), "neither an answer nor a failure"
        await self.task
        raise AssertionError("the source has ended")

    async def addresses(self) -> list[str]:
        """The addresses of the next answer."""
        return [str(each.address) for each in await self.endpoints()]

    async def until(self, expected: list[str]) -> None:
        """Waits for an answer with these addresses."""
        async with asyncio.timeout(DEADLINE):
            while sorted(await self.addresses()) != sorted(expected):
                pass


@asynccontextmanager
async def watching(asked: Source) -> AsyncIterator[Watched]:
    """Watches a source inside the block."""
    watched = Watched()
    watched.task = asyncio.create_task(asked.watch(watched.report))
    try:
        yield watched
    finally:
        watched.task.cancel()
        await asyncio.gather(watched.task, return_exceptions=True)
