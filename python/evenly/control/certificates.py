"""Certificates while the process runs: what is told of them, and what takes note that their files were replaced."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from evenly.config.certificate_files import ResolvedCertificate
from evenly.config.schema import Settings, UdpListener
from evenly.control.status import CertificateStatus, OnDemandStatus, RenewalStatus, StapleStatus

if TYPE_CHECKING:
    from evenly.control.origin import Configuration

WARN_DAYS = 14
"""Renewal usually comes a month before the end; whoever has half of that left should look."""

LOOK_SECONDS = 12 * 60 * 60.0
"""How often that is looked at: a line in the log a day or two is seen, and not yet a nuisance."""

SECONDS_OF_DAY = 24 * 60 * 60

Told = tuple[
    Callable[[str], RenewalStatus | None], Callable[[str], StapleStatus | None], Callable[[str], OnDemandStatus | None]
]
"""Who knows of renewals, of staples and of certificates on demand."""

log = structlog.get_logger("evenly")


def statuses(configuration: Configuration, problem: str, now: datetime, told: Told) -> list[CertificateStatus]:
    """All certificates; `problem` is why replaced files are not used, and `told` what others know of them."""
    settings, (renewal, staple, on_demand) = configuration.resolved.settings, told
    return [
        status(name, each, now, used_by(settings, name)).model_copy(
            update={
                "pools": [
                    pool
                    for pool, options in settings.pools.items()
                    if options.tls is not None and options.tls.client_certificate == name
                ],
                "problem": problem if each.origin == "files" else "",
                "renewal": renewal(name),
                "ocsp": staple(name),
                "on_demand": on_demand(name),
            }
        )
        for name, each in configuration.resolved.certificates.items()
    ]


def status(name: str, certificate: ResolvedCertificate, now: datetime, listeners: list[str]) -> CertificateStatus:
    """What a certificate says of itself."""
    facts = certificate.facts
    return CertificateStatus(
        name=name,
        names=facts.names,
        subject=facts.subject,
        issuer=facts.issuer,
        key=facts.key,
        begins=facts.begins.timestamp(),
        expires=facts.expires.timestamp(),
        days_left=math.floor((facts.expires - now).total_seconds() / SECONDS_OF_DAY),
        listeners=listeners,
        pools=[],
        problem="",
        origin=certificate.origin,
        renewal=None,
        ocsp=None,
        on_demand=None,
    )


def used_by(settings: Settings, name: str) -> list[str]:
    """The listeners that show a certificate."""
    return [
        listener
        for listener, options in settings.listeners.items()
        if not isinstance(options, UdpListener) and options.tls is not None and name in options.tls.certificates
    ]


def expiring(certificates: list[CertificateStatus], now: datetime) -> Iterator[str]:
    """What to say about those that have no time left, or little, or whose time has not come."""
    for each in certificates:
        if each.on_demand is not None:
            # What stands in is meant to.
            continue
        if each.origin == "placeholder":
            yield f'certificate "{each.name}" is not issued yet: clients are shown a placeholder, which they refuse'
        elif each.origin == "self-signed":
            yield f'certificate "{each.name}" is self-signed, for development: clients refuse it'
        elif each.days_left < 0:
            yield f'certificate "{each.name}" has expired: clients refuse it'
        elif each.begins > now.timestamp():
            begins = datetime.fromtimestamp(each.begins, UTC)
            yield f'certificate "{each.name}" is not valid before {begins:%Y-%m-%d %H:%M} UTC: clients refuse it'
        elif each.days_left < WARN_DAYS:
            yield f'certificate "{each.name}" expires in {each.days_left} days'
        if each.ocsp is not None and each.ocsp.state == "revoked":
            yield f'certificate "{each.name}" is revoked: clients refuse it that find out'
        elif each.ocsp is not None and each.ocsp.required and each.ocsp.state == "unknown":
            yield f'certificate "{each.name}" must be stapled (OCSP), and no answer is there: clients refuse it'


class Expiry:
    """Says so in the log: now and then, and at once what is new."""

    def __init__(self, current: Callable[[], list[CertificateStatus]]) -> None:
        self._current = current
        self._told: set[str] = set()

    async def warn(self) -> None:
        """Says all of it now and then, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._told = set()
            self.changed()

    def changed(self) -> None:
        """Other certificates are shown: says what was not said of those before."""
        problems = list(expiring(self._current(), right_now()))
        for problem in problems:
            if problem not in self._told:
                log.warning("certificate expires", problem=problem)
        self._told = set(problems)


def right_now() -> datetime:
    """The time, as certificates count it."""
    return datetime.now(UTC)
