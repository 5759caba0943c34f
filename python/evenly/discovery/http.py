"""Endpoints from a JSON document behind a URL, which is polled; one that has not changed is not sent again (ETag)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from evenly.config.schema import Endpoint, HttpDiscovery
from evenly.discovery.client import client, fetch, token
from evenly.discovery.listing import LARGEST_ANSWER, parse
from evenly.discovery.source import Place, Report


@dataclass
class HttpSource:
    """One URL."""

    options: HttpDiscovery
    place: Place
    _tag: str | None = field(default=None, init=False)
    _last: list[Endpoint] = field(default_factory=list, init=False)

    @property
    def name(self) -> str:
        """What is asked; without the query, which may hold a secret."""
        return f"http {str(self.options.url).partition('?')[0]}"

    async def watch(self, report: Report) -> None:
        """Asks, reports, and waits."""
        options, directory = self.options, self.place.directory
        ca_file = None if options.ca_file is None else directory / options.ca_file
        token_file = None if options.token_file is None else directory / options.token_file
        async with client(str(options.url), ca_file) as asked:
            while True:
                headers = {"Accept": "application/json"}
                if (bearer := await token(token_file)) is not None:
                    headers["Authorization"] = f"Bearer {bearer}"
                if self._tag is not None:
                    headers["If-None-Match"] = self._tag
                # The whole URL, because a base URL gets a slash at its end.
                url = str(options.url)
                answer = await fetch(asked, url, options.timeout.seconds, LARGEST_ANSWER, headers=headers)
                if answer.status_code != 304:
                    self._last = parse(answer.content, "json", options.weight)
                    # Only now: an answer that cannot be read must be sent again.
                    self._tag = answer.headers.get("etag")
                report(self._last)
                await asyncio.sleep(options.interval.seconds)
