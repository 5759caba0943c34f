"""An issuer's word that one certificate is not revoked: asked for, kept, asked for again half way to its end.

Whatever fails, the last good answer stays until its time is over, and clients are shown the certificate all the same.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from evenly.certificates.clock import Clock
from evenly.certificates.ocsp import Answer, OcspError, RevokedError, Subject, judge
from evenly.certificates.store import Store, StoreError
from evenly.config.certificate_files import must_staple

SOONEST = timedelta(minutes=1)
"""Between two questions when all goes well: an issuer whose answers are good for a minute is not asked all the time."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
"""After a failure, and after several in a row. Answers are good for days; half of that is left to try in."""

LOOK = 3600.0
"""Seconds between two looks at the clock at most: it may be set, or the machine have slept."""

log = structlog.get_logger("evenly")


@dataclass(slots=True)
class Standing:
    """How it is going; what an operator is shown."""

    answer: Answer | None = None
    is_revoked: bool = False
    error: str = ""
    """Why there was no good answer to the last question; empty if there was."""
    failures: int = 0
    """In a row."""
    next_try: datetime | None = None


class Stapling:
    """One certificate. `run` it; it calls `changed` whenever there is another answer to be shown, or none any more."""

    def __init__(
        self,
        name: str,
        subject: Subject,
        ask: Callable[[Subject], Awaitable[bytes]],
        store: Store | None,
        changed: Callable[[], None],
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self.standing = Standing()
        self._name = name
        self._subject = subject
        self._ask = ask
        self._store = store
        self._changed = changed
        self._clock = clock
        self._random = random

    async def run(self) -> None:
        """Until cancelled."""
        standing = self.standing
        await self._load()
        while True:
            now = self._clock.now()
            if standing.answer is not None and standing.answer.ends <= now:
                self._show(None)
            if standing.next_try is None or standing.next_try <= now:
                await self._try()
            await self._wait()

    async def _wait(self) -> None:
        answer = self.standing.answer
        moments = (self.standing.next_try, None if answer is None else answer.ends)
        due = min(moment for moment in moments if moment is not None)
        left = (due - self._clock.now()).total_seconds()
        if left > 0:
            await self._clock.wait(asyncio.Event(), min(left, LOOK))

    async def _try(self) -> None:
        try:
            raw = await self._ask(self._subject)
            answer = judge(raw, self._subject, self._clock.now())
        except OcspError as error:
            self._failed(error)
            if isinstance(error, RevokedError):
                # What was said before is not so any more, also after a restart.
                self._show(None)
                await self._keep(b"")
            return
        except Exception as error:
            # A mistake of ours must not be the end of every question.
            log.exception("revocation status unknown", certificate=self._name)
            self._failed(OcspError(repr(error)))
            return
        standing = self.standing
        standing.error, standing.failures, standing.is_revoked = "", 0, False
        self._take(answer)
        await self._keep(raw)

    def _take(self, answer: Answer) -> None:
        soonest = self._clock.now() + SOONEST
        self.standing.next_try = max(answer.ask_again(self._random()), soonest)
        self._show(answer)

    def _show(self, answer: Answer | None) -> None:
        if answer != self.standing.answer:
            self.standing.answer = answer
            self._changed()

    def _failed(self, error: OcspError) -> None:
        standing = self.standing
        standing.error = str(error)
        standing.failures += 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(standing.failures - 1, 16))
        standing.next_try = self._clock.now() + pause * (0.5 + self._random() / 2)
        standing.is_revoked = isinstance(error, RevokedError)
        if standing.is_revoked:
            result = "clients refuse it that find out: have another issued"
        elif standing.answer is not None:
            result = f"the last answer is shown until {standing.answer.ends:%Y-%m-%d %H:%M} UTC"
        elif must_staple(self._subject.leaf):
            result = "clients refuse it, for it says that an answer must be shown with it"
        else:
            result = "no answer is shown"
        event = "certificate is revoked" if standing.is_revoked else "revocation status unknown"
        log.warning(event, certificate=self._name, problem=str(error), result=result)

    async def _load(self) -> None:
        """What an earlier process has learned, if it is about this certificate and still good."""
        if self._store is None:
            return
        with suppress(StoreError, OcspError, ValueError):
            text = await asyncio.to_thread(self._store.read, f"ocsp/{self._name}")
            if text is not None:
                self._take(judge(base64.b64decode(text), self._subject, self._clock.now()))

    async def _keep(self, raw: bytes) -> None:
        if self._store is None:
            return
        try:
            await asyncio.to_thread(self._store.write, f"ocsp/{self._name}", base64.b64encode(raw).decode())
        except StoreError as error:
            log.warning("revocation status not kept", certificate=self._name, problem=str(error))
