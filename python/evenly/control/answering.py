"""Answers questions of issuers on this process's own listeners: over HTTP by routes that nobody writes, over TLS by
certificates of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

from evenly.certificates.over_tls import answer_over_tls
from evenly.certificates.responder import Question, ResponderError
from evenly.config import ConfigError
from evenly.config.front_routes import Answers


class Answering:
    """A `Responder`. `publish` has every worker give these answers, and no others, from its return on."""

    def __init__(self, publish: Callable[[Answers], Awaitable[None]]) -> None:
        self._publish = publish
        self._answers = Answers()
        self._publishing = asyncio.Lock()
        self._asked: set[str] = set()
        """Hosts that are asked about over TLS."""
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def answering(self, questions: Sequence[Question]) -> AsyncIterator[None]:
        """As `Responder` says."""
        async with self._alone({each.host for each in questions if each.kind == "tls-alpn-01"}) as hosts:
            http = {each.token: each.answer for each in questions if each.kind == "http-01"}
            now = datetime.now(UTC)
            tls = {each.host: answer_over_tls(each.host, each.answer, now) for each in questions if each.host in hosts}
            try:
                await self._change(
                    lambda answers: replace(answers, http={**answers.http, **http}, tls={**answers.tls, **tls})
                )
            except (ConfigError, OSError) as error:
                raise ResponderError(f"the answers cannot be served: {error}") from error
            try:
                yield
            finally:
                # They stay until the next change if this fails, and harm nobody.
                with suppress(ConfigError, OSError):
                    await self._change(
                        lambda answers: Answers(
                            {each: answers.http[each] for each in answers.http if each not in http},
                            {each: answers.tls[each] for each in answers.tls if each not in tls},
                        )
                    )

    @asynccontextmanager
    async def _alone(self, hosts: set[str]) -> AsyncIterator[set[str]]:
        """Waits until nobody else answers for these hosts: over TLS a question is told by its host alone."""
        async with self._freed:
            await self._freed.wait_for(lambda: not hosts & self._asked)
            self._asked |= hosts
        try:
            yield hosts
        finally:
            async with self._freed:
                self._asked -= hosts
                self._freed.notify_all()

    async def _change(self, change: Callable[[Answers], Answers]) -> None:
        # What there is, is read under the lock, too: another issuance may be changing it.
        async with self._publishing:
            answers = change(self._answers)
            if answers != self._answers:
                await self._publish(answers)
                self._answers = answers
