"""Certificates for hosts that clients ask for, and nobody wrote down: asked about, issued, kept, renewed, forgotten."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

import structlog

from evenly.certificates import records
from evenly.certificates.demand import BUSY, REFUSED, UNANSWERED, Bounds, DemandError, allows, matches
from evenly.certificates.issue_error import IssueError
from evenly.certificates.keeper import BusyError, Keeper
from evenly.certificates.store import Store, StoreError, locked_within
from evenly.certificates.wanted import store_of, wanted_on_demand
from evenly.config import ConfigError, Loaded, Resolved
from evenly.config.certificate_files import of_issued
from evenly.config.front_routes import Demanded
from evenly.config.schema.acme import OnDemand as Options
from evenly.control.certificates import right_now, status, used_by
from evenly.control.editing import UnknownNameError
from evenly.control.keepers import Keepers, Kept
from evenly.control.status import CertificateStatus, OnDemandStatus

VERSION = 1
"""Of the list's form in the store."""

QUIET = 60.0
"""Seconds between two lines of the log about bounds that are reached."""

NAMED = 5
"""Of those that there are, how many are named to whoever asks for one that there is not: the most alike."""

LOCKED_SECONDS = 5.0
"""How long to wait for other processes that change the list; each takes milliseconds."""

Outcome = Literal["issued", "refused", "failed", "unanswered", "limited"]
OUTCOMES: tuple[Outcome, ...] = ("issued", "refused", "failed", "unanswered", "limited")

log = structlog.get_logger("evenly")


@dataclass
class _Host:
    """One with a certificate, or that is about to get its first."""

    kept: Kept
    task: asyncio.Task[None] | None = None
    is_allowed: bool = False
    """The service has just said so, and need not be asked before the first order."""

    @property
    def keeper(self) -> Keeper:
        """Who renews it."""
        return self.kept.keeper


@dataclass
class _Site:
    """One certificate of the file, on whose demand others are issued."""

    name: str
    options: Options
    loaded: Loaded
    store: Store
    bounds: Bounds
    hosts: dict[str, _Host] = field(default_factory=dict)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    told: float = -math.inf
    """When it was last said that a bound is reached."""
    is_read: asyncio.Event = field(default_factory=asyncio.Event)
    """What the store knows of it is among `hosts`."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """The list in the store: one after the other."""


class OnDemand:
    """All of them. `publish` has these shown from its return on; `settle` has handshakes go on that wait for a host."""

    def __init__(
        self, keepers: Keepers, publish: Callable[[Demanded], Awaitable[None]], settle: Callable[[str], None]
    ) -> None:
        self._keepers = keepers
        self._publish_these = publish
        self._settle = settle
        self._sites: dict[str, _Site] = {}
        self._is_told = asyncio.Event()
        """What is to be issued is known. Clients come before that: the control plane takes a moment to start."""
        # The loop keeps weak references only.
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(self, loaded: Loaded) -> None:
        """Issues for this configuration, and no other; what did not change goes on undisturbed."""
        before, self._sites = self._sites, {}
        store = store_of(loaded)
        for name, each in loaded.settings.certificates.items():
            if each.acme is None or each.acme.on_demand is None:
                continue
            # The schema wants one wherever a certificate is wanted.
            assert store is not None  # noqa: S101
            kept = before.get(name)
            if kept is not None and _is_same(kept, loaded, store):
                self._sites[name] = before.pop(name)
            else:
                options = each.acme.on_demand
                site = self._sites[name] = _Site(name, options, loaded, store, Bounds(options.rate))
                self._in_background(self._read(site))
        self._is_told.set()
        for site in before.values():
            for host in site.hosts.values():
                if host.task is not None:
                    host.task.cancel()

    def asked(self, name: str) -> None:
        """A client waits for a certificate for this host, in lower case."""
        self._in_background(self._answer(name))

    def statuses(self, resolved: Resolved) -> list[CertificateStatus]:
        """How each certificate stands that was issued."""
        return [
            found
            for site in self._sites.values()
            for host, each in sorted(site.hosts.items())
            if (found := _status(site, host, each.kept, resolved)) is not None
        ]

    def status(self, name: str) -> OnDemandStatus | None:
        """How it is going with what is issued on demand of a certificate; `None` if nothing is."""
        if name not in self._sites:
            return None
        site = self._sites[name]
        return OnDemandStatus(
            hosts=len(_kept(site)),
            max_hosts=site.options.max_hosts,
            outcomes={outcome: site.outcomes[outcome] for outcome in OUTCOMES},
        )

    async def renew(self, name: str, *, dry_run: bool) -> None:
        """Renews the certificate of a host now, as `CERTIFICATE/HOST` names it. Raises as `Keepers.renew`."""
        await self._issued(name).keeper.renew(dry_run=dry_run)

    async def revoke(self, name: str, reason: int) -> None:
        """Has it revoked once there is another in its place. Raises as `Keepers.renew`."""
        await self._issued(name).revoker.revoke(reason)

    def _issued(self, name: str) -> Kept:
        issued = {f"{site.name}/{host}": site.hosts[host].kept for site in self._sites.values() for host in _kept(site)}
        if name not in issued:
            raise UnknownNameError("certificate on demand", name, get_close_matches(name, issued, NAMED))
        return issued[name]

    async def close(self) -> None:
        """Issues nothing more."""
        kept = [host.task for site in self._sites.values() for host in site.hosts.values()]
        self._sites = {}
        running = [*self._tasks, *(task for task in kept if task is not None)]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _read(self, site: _Site) -> None:
        """Goes on with the hosts that the store knows."""
        try:
            try:
                listed = await asyncio.to_thread(_listed, site)
            except StoreError as error:
                log.warning("certificates on demand not read", certificate=site.name, problem=str(error))
                listed = []
            for name in listed:
                if not self._is_followed(site):
                    return
                if len(site.hosts) < site.options.max_hosts and matches(site.options.hosts, name):
                    await self._resume(site, name)
            await self._publish()
        except Exception:
            # A mistake of ours must not be the end of every handshake.
            log.exception("certificates on demand not read", certificate=site.name)
        finally:
            site.is_read.set()

    async def _resume(self, site: _Site, name: str) -> None:
        host = self._host(site, name)
        try:
            host.keeper.standing.issued = await asyncio.to_thread(records.load, site.store, host.keeper.wanted.name)
        except StoreError as error:
            # Its keeper tries again, and says so in its status.
            log.warning("certificate on demand not read", certificate=site.name, host=name, problem=str(error))
        if self._is_followed(site):
            site.hosts[name] = host
            host.task = asyncio.create_task(host.kept.run())

    async def _answer(self, name: str) -> None:
        await self._is_told.wait()
        try:
            site = await self._site_of(name)
            if site is None:
                return
            if (known := site.hosts.get(name)) is not None and known.task is None:
                # It is being issued, and whoever does that settles it.
                return
            if known is None:
                await self._admit(site, name)
        except Exception:
            # A mistake of ours must not be the end of every handshake.
            log.exception("certificate on demand refused", host=name)
        finally:
            if not any(host.task is None for site in self._sites.values() if (host := site.hosts.get(name))):
                self._settle(name)

    async def _site_of(self, name: str) -> _Site | None:
        """The one that a host may be issued for, with what the store knows; the configuration has no two of them."""
        while True:
            site = next((each for each in self._sites.values() if matches(each.options.hosts, name)), None)
            if site is None:
                return None
            await site.is_read.wait()
            if self._is_followed(site):
                return site

    async def _admit(self, site: _Site, name: str) -> None:
        """Gets a host its first certificate, if it may have one."""
        if not site.bounds.remembers(name, time.monotonic()):
            await self._admit_new(site, name)

    async def _admit_new(self, site: _Site, name: str) -> None:
        if len(site.hosts) >= site.options.max_hosts:
            _limited(site, name, f"there are {site.options.max_hosts:,} hosts, which is `max_hosts`")
            return
        if not site.bounds.admits(time.monotonic()):
            _limited(site, name, f"there were more than {site.options.rate} new hosts, which is `rate`")
            return
        # Its place is taken from now on, so that nobody else asks.
        host = site.hosts[name] = self._host(site, name)
        now = time.monotonic
        try:
            host.is_allowed = await allows(site.options, name)
            if not host.is_allowed:
                site.bounds.refuse(name, now(), REFUSED)
                _refused(site, name, "refused", "your service does not allow it")
                return
            # The store may have one: of another process, of before a reload, or of a list that could not be written.
            await host.keeper.renew(or_take=True)
        except DemandError as error:
            site.bounds.refuse(name, now(), UNANSWERED)
            _refused(site, name, "unanswered", str(error))
        except BusyError as error:
            site.bounds.refuse(name, now(), BUSY)
            _refused(site, name, "failed", str(error))
        except (IssueError, StoreError) as error:
            site.bounds.failed(name, now())
            _refused(site, name, "failed", str(error))
        else:
            site.bounds.issued(name)
            site.outcomes["issued"] += 1
            # Where a reload has taken its place, that one is asked, and finds it in the store.
            if self._is_followed(site):
                host.task = asyncio.create_task(host.kept.run())
                await self._save(site, name, is_kept=True)
        finally:
            host.is_allowed = False
            if host.task is None:
                site.hosts.pop(name, None)

    def _host(self, site: _Site, name: str) -> _Host:
        async def permit() -> None:
            if host.is_allowed:
                return
            try:
                is_allowed = await allows(site.options, name)
            except DemandError as error:
                raise IssueError(str(error)) from error
            if not is_allowed:
                issued = host.keeper.standing.issued
                if issued is None or issued.life[1] <= right_now():
                    self._in_background(self._forget(site, name))
                raise IssueError(f"{site.options.decides} does not allow {name} any more")

        wanted = wanted_on_demand(site.loaded, site.name, name)
        host = _Host(self._keepers.kept(wanted, site.store, self._publish, permit))
        return host

    async def _forget(self, site: _Site, name: str) -> None:
        """Has no certificate for a host any more: it has expired, and there will be no other."""
        if not self._is_followed(site) or (host := site.hosts.pop(name, None)) is None:
            return
        if host.task is not None:
            host.task.cancel()
        log.info("certificate on demand forgotten", certificate=site.name, host=name)
        await self._save(site, name, is_kept=False)
        await self._publish()

    async def _save(self, site: _Site, name: str, *, is_kept: bool) -> None:
        """Keeps a host over restarts, or not any more. If that fails, it goes on until then."""
        try:
            async with site.changing:
                await asyncio.to_thread(_change, site, name, is_kept=is_kept)
        except StoreError as error:
            log.warning("certificates on demand not kept", certificate=site.name, host=name, problem=str(error))

    def _is_followed(self, site: _Site) -> bool:
        """Whether no reload has taken its place."""
        return self._sites.get(site.name) is site

    async def _publish(self) -> None:
        demanded = {
            site.name: {
                name: host.keeper.standing.issued.pem
                for name, host in sorted(site.hosts.items())
                if host.keeper.standing.issued is not None
            }
            for site in self._sites.values()
        }
        try:
            await self._publish_these(demanded)
        except (ConfigError, OSError) as error:
            log.error("certificate not shown", problem=str(error), result="the ones before stay")  # noqa: TRY400

    def _in_background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _refused(site: _Site, host: str, outcome: Outcome, problem: str) -> None:
    site.outcomes[outcome] += 1
    log.warning("certificate on demand refused", certificate=site.name, host=host, problem=problem)


def _limited(site: _Site, host: str, problem: str) -> None:
    """Beyond a bound: whoever makes up hosts must not fill the log."""
    site.outcomes["limited"] += 1
    now = time.monotonic()
    if now - site.told >= QUIET:
        site.told = now
        log.warning("certificate on demand refused", certificate=site.name, host=host, problem=problem)


def _is_same(site: _Site, loaded: Loaded, store: Store) -> bool:
    """Whether it goes on as it is: what is issued for its hosts would be wanted the same way."""
    acme = loaded.settings.certificates[site.name].acme
    host = "on-demand.invalid"
    return (
        acme is not None
        and acme.on_demand == site.options
        and site.store == store
        and wanted_on_demand(loaded, site.name, host) == wanted_on_demand(site.loaded, site.name, host)
    )


def _kept(site: _Site) -> list[str]:
    """The hosts that are kept over restarts."""
    return [name for name, host in site.hosts.items() if host.task is not None]


def _listed(site: _Site) -> list[str]:
    """The hosts that the store knows. Blocking. Raises `StoreError`."""
    text = site.store.read(f"on-demand/{site.name}")
    try:
        data: Any = {"version": VERSION, "hosts": []} if text is None else json.loads(text)
        version, hosts = data["version"], [str(host) for host in data["hosts"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StoreError(f"on-demand/{site.name}.json cannot be understood") from error
    if version != VERSION:
        raise StoreError(f"on-demand/{site.name}.json is of version {version!r}")
    return hosts


def _change(site: _Site, name: str, *, is_kept: bool) -> None:
    """Adds a host to the list, or removes it; those stay that other processes have added, and that may still be asked
    for. A list that cannot be understood is left as it is. Blocking. Raises `StoreError`."""
    with locked_within(site.store, f"on-demand/{site.name}", LOCKED_SECONDS) as is_ours:
        if not is_ours:
            raise StoreError("another process has had the list for too long")
        hosts = {each for each in _listed(site) if matches(site.options.hosts, each)} - {name}
        if is_kept:
            hosts.add(name)
        content = {"version": VERSION, "hosts": sorted(hosts)}
        site.store.write(f"on-demand/{site.name}", json.dumps(content, indent=1))


def _status(site: _Site, host: str, kept: Kept, resolved: Resolved) -> CertificateStatus | None:
    issued = kept.keeper.standing.issued
    certificate = of_issued(None if issued is None else issued.pem)
    if certificate is None:
        return None
    found = status(f"{site.name}/{host}", certificate, right_now(), used_by(resolved.settings, site.name))
    return found.model_copy(update={"renewal": kept.status()})
