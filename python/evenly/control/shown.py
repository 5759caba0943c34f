"""The certificates that clients are shown, while the process runs: what replaces them, and who has them renewed."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime

import structlog

from evenly.certificates.ocsp import Answer
from evenly.config import ConfigError
from evenly.config.front_routes import Answers, Demanded, Staple
from evenly.control.certificates import Expiry, right_now, statuses
from evenly.control.keepers import Keepers
from evenly.control.on_demand import OnDemand
from evenly.control.origin import Configuration, WorseCertificateError
from evenly.control.process.watch import Fingerprint
from evenly.control.stapler import Stapler
from evenly.control.status import AccountStatus, CertificateStatus, Changes

Alter = Callable[[Callable[[Configuration], Configuration]], Awaitable[Changes | None]]
"""Makes the running configuration another one that touches no socket; `None` once the process drains."""

log = structlog.get_logger("evenly")


class ShownCertificates:
    """All of them. `running` is the running configuration, `alter` changes it, `replaced` reads the files again,
    `must_serve` raises `DrainingError` once the process drains, and `settle` has those go on who wait for a name."""

    def __init__(
        self,
        running: Callable[[], Configuration],
        alter: Alter,
        replaced: Callable[[Configuration], Configuration],
        must_serve: Callable[[], None],
        settle: Callable[[str], None],
    ) -> None:
        self._running = running
        self._alter = alter
        self._replaced = replaced
        self._must_serve = must_serve
        self._problem = ""
        self._keepers = Keepers(self._publish_answers, self._install_issued)
        self._stapler = Stapler(self._publish_staples)
        self._on_demand = OnDemand(self._keepers, self._publish_demanded, settle)
        self._expiry = Expiry(self.statuses)
        self._later: asyncio.Task[None] | None = None

    def statuses(self) -> list[CertificateStatus]:
        """How each stands."""
        running = self._running()
        told = (self._keepers.status, self._stapler.status, self._on_demand.status)
        demanded = self._on_demand.statuses(running.resolved)
        stapled = [each.model_copy(update={"ocsp": self._stapler.status(each.name)}) for each in demanded]
        return [*statuses(running, self._problem, right_now(), told), *stapled]

    def failing(self) -> dict[str, str]:
        """Why those are not renewed of which the last try failed."""
        return {each.name: each.renewal.error for each in self.statuses() if each.renewal and each.renewal.error}

    def fingerprint(self) -> Fingerprint:
        """Changes when their files do."""
        return self._running().certificates_fingerprint

    def follow(self, configuration: Configuration) -> None:
        """Another configuration runs, whose files were just read."""
        self._problem = ""
        self._keepers.follow(configuration.resolved.loaded)
        self._follow_staples(configuration)
        self._on_demand.follow(configuration.resolved.loaded)
        self._read_later(None)
        self._expiry.changed()

    def asked(self, name: str) -> None:
        """A client waits for a certificate for a name that has none."""
        self._on_demand.asked(name)

    async def warn_of_expiry(self) -> None:
        """Says in the log what clients refuse, or soon will; until cancelled."""
        await self._expiry.warn()

    async def close(self) -> None:
        """Ends what renews them, and what asks about them."""
        self._read_later(None)
        await self._keepers.close()
        await self._stapler.close()
        await self._on_demand.close()

    async def renew(self, name: str, *, dry_run: bool) -> CertificateStatus:
        """Has one issued anew over ACME, however long that takes; how it stands afterwards.

        A dry run ends when the issuer has seen that the hosts are ours. Raises `UnknownNameError`, `DrainingError`,
        and if it fails `IssueError`, `BusyError` or `StoreError`.
        """
        self._must_serve()
        log.info("renewing", certificate=name, dry_run=dry_run)
        await self._keeping(name).renew(name, dry_run=dry_run)
        return self._status(name)

    async def revoke(self, name: str, reason: int) -> CertificateStatus:
        """Has one revoked, after another has taken its place; how that one stands. Raises as `renew`."""
        self._must_serve()
        await self._keeping(name).revoke(name, reason)
        return self._status(name)

    async def roll_over(self, issuer: str) -> AccountStatus:
        """Gives the account with an issuer another key. Raises as `renew`, but for `BusyError`."""
        self._must_serve()
        return await self._keepers.roll_over(issuer)

    async def reread(self) -> None:
        """Shows what has replaced files to new clients; whatever is wrong with it, the ones before stay."""
        try:
            changes = await self._alter(self._replaced)
        except (ConfigError, OSError) as error:
            self._problem = str(error)
            self._read_later(error.begins if isinstance(error, WorseCertificateError) else None)
            log.error("certificates not replaced", problem=str(error), result="the ones before stay")  # noqa: TRY400
            return
        if changes is not None:
            self._problem = ""
            self._read_later(None)
            self._follow_staples(self._running())
            log.info("certificates replaced", generation=changes.generation)
            self._expiry.changed()

    def _read_later(self, begins: datetime | None) -> None:
        """Has the files read once more when what they have becomes valid: they will not change for it."""
        if self._later is not None and self._later is not asyncio.current_task():
            self._later.cancel()
        self._later = None if begins is None else asyncio.create_task(self._reread_at(begins))

    async def _reread_at(self, moment: datetime) -> None:
        await asyncio.sleep((moment - right_now()).total_seconds())
        # If the clock was set back meanwhile, this waits again.
        await self.reread()

    def _keeping(self, name: str) -> Keepers | OnDemand:
        """Who keeps a certificate: the name of one on demand has its host in it."""
        return self._on_demand if "/" in name else self._keepers

    def _status(self, name: str) -> CertificateStatus:
        return next(each for each in self.statuses() if each.name == name)

    async def _publish_answers(self, answers: Answers) -> None:
        await self._alter(
            lambda running: running.with_answers(replace(running.answers, http=answers.http, tls=answers.tls))
        )

    async def _publish_demanded(self, demanded: Demanded) -> None:
        await self._alter(lambda running: running.with_answers(replace(running.answers, demanded=demanded)))
        self._follow_staples(self._running())

    def _follow_staples(self, configuration: Configuration) -> None:
        self._stapler.follow(configuration.resolved, configuration.answers.demanded)

    async def _publish_staples(self, good: Mapping[str, Answer]) -> None:
        staples = {
            chain: Staple(base64.b64encode(each.raw).decode(), int(each.ends.timestamp()))
            for chain, each in good.items()
        }
        await self._alter(lambda running: running.with_answers(replace(running.answers, staples=staples)))

    async def _install_issued(self) -> None:
        """Shows the certificates that the store has to new clients; those that are open stay as they are."""
        try:
            changes = await self._alter(lambda running: running.with_issued())
        except (ConfigError, OSError) as error:
            log.error("certificate not shown", problem=str(error), result="the ones before stay")  # noqa: TRY400
            return
        if changes is not None:
            self._follow_staples(self._running())
            log.info("certificates replaced", generation=changes.generation)
