"""The running balancer: what the admin API and the signals may ask of it, and how it ends."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import structlog

from evenly import __version__
from evenly.config import ConfigError, Duration, expand, load_text
from evenly.config.edits import Edits
from evenly.control import exposition
from evenly.control.admin import AdminError, AdminServer, OpenAdmin
from evenly.control.binding import ListenError
from evenly.control.dataplane import Dataplane, check
from evenly.control.difference import Difference, changed_options, difference, own_options, without_effect
from evenly.control.editing import UnknownNameError
from evenly.control.endpoints import Endpoints, found_of, known_of
from evenly.control.evacuations import that_last, with_evacuation
from evenly.control.keeper import Keeper
from evenly.control.origin import Configuration, Origin
from evenly.control.process import systemd
from evenly.control.process.watch import watch as watch_files
from evenly.control.reload import apply, at_users_places, report, report_cleared
from evenly.control.shown import ShownCertificates
from evenly.control.states import of_endpoint, standing_in, with_state
from evenly.control.status import (
    Changes,
    Edited,
    EndpointSet,
    OperatorState,
    OperatorWeight,
    Phase,
    PoolStatus,
    SplitSet,
    SplitStatus,
    Status,
    ZoneSet,
    ZoneStatus,
)
from evenly.control.store import NOTHING, Kept
from evenly.control.upgrade.handover import Inheritance
from evenly.control.upgrade.successor import command, start_successor

POLL_SECONDS = 0.05
"""How often draining looks whether the last connection has ended; nobody notices a twentieth of a second."""

log = structlog.get_logger("evenly")


class DrainingError(Exception):
    """The process drains, so nothing can be changed any more."""


class Supervisor:
    """One running balancer. All of it happens on one event loop; blocking calls go to threads."""

    def __init__(
        self,
        origin: Origin,
        configuration: Configuration,
        dataplane: Dataplane,
        admin: AdminServer,
        open_admin: OpenAdmin,
        endpoints: Endpoints | None = None,
        kept: Kept = NOTHING,
    ) -> None:
        self.origin = origin
        self.configuration = configuration
        self.dataplane = dataplane
        self.admin = admin
        self.endpoints = endpoints or Endpoints()
        self.phase = Phase.SERVING
        self.states, self.evacuations = kept.states, kept.evacuations
        self.keeper = Keeper(lambda: self.configuration.resolved.state_directory, self.to_keep)
        self._open_admin = open_admin
        self._started = time.time()
        # Reloads, upgrades and changes to endpoints happen one after the other: each starts from what the last left.
        self._changing = asyncio.Lock()
        self._ending = asyncio.Event()
        self._ending_now = asyncio.Event()
        self._deadline = math.inf
        self._asked_to_end = False
        self._handed_over = False
        self.certificates = ShownCertificates(
            lambda: self.configuration, self._alter, origin.with_certificates, self._must_serve, dataplane.settle_name
        )
        # The loop keeps weak references only.
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, *, watch: bool) -> None:
        """Answers the admin API until the end is asked for, then drains."""
        await self.admin.start(self)
        self._in_background(self.endpoints.apply_changes(self._apply_found))
        self._in_background(
            watch_files(self.certificates.fingerprint, lambda: self._in_background(self.certificates.reread()))
        )
        self.certificates.follow(self.configuration)
        self._in_background(self.certificates.warn_of_expiry())
        if watch:
            self._in_background(
                watch_files(lambda: self.configuration.fingerprint, lambda: self.request_reload("--watch"))
            )
        if (interval := systemd.watchdog_interval(os.environ)) is not None:
            self._in_background(systemd.feed_watchdog(interval))
        await self._ending.wait()
        await self.endpoints.close()
        await self.certificates.close()
        if not self._handed_over and self.endpoints.known:
            # Not after a handover: the file is the successor's then.
            await self.keeper.save_found()
        if self._handed_over:
            # The successor answers there now.
            await self.admin.close(handed_over=True)
        await self._drain()
        await self.keeper.close()
        if not self._handed_over:
            await self.admin.close(handed_over=False)
        for task in self._tasks:
            task.cancel()

    async def status(self) -> Status:
        """What the packet path reports, and the process around it."""
        report = await asyncio.to_thread(self.dataplane.status)
        pools = [pool.model_copy(update={"discovery": self.endpoints.status(pool.name)}) for pool in report.pools]
        return Status(
            **dict(report) | {"pools": pools},
            phase=self.phase,
            version=__version__,
            pid=os.getpid(),
            started=self._started,
            splits=self.configuration.splits.status(self.configuration.resolved),
            configuration=self.origin.name,
            renewals_failing=self.certificates.failing(),
            edits=len(self.configuration.edits),
        )

    async def metrics(self) -> str:
        """All metrics in Prometheus' text format."""
        edits, unsaved = len(self.configuration.edits), self.keeper.unsaved
        own = exposition.render(self.endpoints.watchers, edits, unsaved, self.certificates.statuses())
        return await asyncio.to_thread(self.dataplane.metrics) + own

    async def pool(self, name: str) -> PoolStatus:
        """One pool. Raises `UnknownNameError`."""
        pools = {pool.name: pool for pool in (await self.status()).pools}
        if name not in pools:
            raise UnknownNameError("pool", name, sorted(pools))
        return pools[name]

    async def set_endpoint(
        self, pool: str, address: str, state: OperatorState | None, weight: int | OperatorWeight | None
    ) -> EndpointSet:
        """Sets what is not `None`; the endpoint afterwards. Raises `UnknownNameError` and `DrainingError`."""
        async with self._changing:
            self._must_serve()
            known = [endpoint.address for endpoint in (await self.pool(pool)).endpoints]
            if address not in known:
                raise UnknownNameError("endpoint", address, known)
            states = with_state(self.states, pool, address, state, weight)
            each = of_endpoint(states, pool, address)
            wanted = each.state or OperatorState.READY
            await asyncio.to_thread(self.dataplane.set_endpoint, pool, address, wanted, each.weight)
            log.info("endpoint set", pool=pool, endpoint=address, state=str(wanted), weight=each.weight)
            self.states = states
            keeping = await self.keeper.save_edits()
            after = next(each for each in (await self.pool(pool)).endpoints if each.address == address)
            return EndpointSet(**dict(after), **dict(keeping))

    async def zones(self) -> list[ZoneStatus]:
        """Every zone that an endpoint is in."""
        return (await self.status()).zones

    async def evacuate(self, zone: str, length: Duration | None) -> ZoneSet:
        """Evacuates a zone for so long, or takes it back; the zone afterwards.

        Raises `UnknownNameError` and `DrainingError`.
        """
        async with self._changing:
            self._must_serve()
            zones = {each.name: each for each in await self.zones()}
            evacuated = {name for name, each in zones.items() if each.evacuated_until is not None}
            known = evacuated if length is None else {name for name, each in zones.items() if each.endpoints}
            if zone not in known:
                raise UnknownNameError("zone" if length else "evacuated zone", zone, sorted(known))
            await asyncio.to_thread(self.dataplane.evacuate, zone, length.milliseconds if length else None)
            # One that no endpoint is in any more is gone with its evacuation.
            zones = {each.name: each for each in await self.zones()}
            after = zones.get(zone) or ZoneStatus(name=zone, endpoints=0, healthy=0, evacuated_until=None)
            self.evacuations = with_evacuation(self.evacuations, zone, after.evacuated_until)
            return ZoneSet(**dict(after), **dict(await self.keeper.save_edits()))

    async def split(self, route: str) -> SplitStatus:
        """How a route splits its requests. Raises `UnknownNameError`."""
        splits = {each.route: each for each in self.configuration.splits.status(self.configuration.resolved)}
        if route not in splits:
            raise UnknownNameError("route with a split", route, sorted(splits))
        return splits[route]

    async def set_split(self, route: str, weights: dict[str, int] | None) -> SplitSet:
        """Sets the weights of a route's split, or with `None` goes back to the file's; the split afterwards.

        Raises `UnknownNameError`, `SplitError` and `DrainingError`.
        """
        async with self._changing:
            self._must_serve()
            running, file = self.configuration, (await self.split(route)).file
            splits = running.splits.without(route)
            if weights is not None:
                splits = splits.with_weights(route, file, weights)
            configuration = await asyncio.to_thread(running.with_splits, splits)
            await self._apply(configuration)
            log.info("split set", route=route, weights=weights, file=file)
            return SplitSet(**dict(await self.split(route)), **dict(self.keeper.keeping))

    async def expanded(self) -> str:
        """The running configuration as TOML, every default written out."""
        return expand(self.configuration.resolved.settings)

    async def reload(self) -> Changes:
        """Reads the configuration again and applies it.

        Raises `ConfigError`, `ListenError`, `AdminError`, `OSError` or `DrainingError`; then the running one stays.
        """
        async with self._changing:
            self._must_serve()
            systemd.reloading()
            try:
                return await self._reload()
            except (ConfigError, ListenError, AdminError, OSError) as error:
                for problem in str(error).splitlines():
                    # Without a stack: it would not help whoever wrote the file.
                    log.error("reload refused", problem=problem, result="the running configuration stays")  # noqa: TRY400
                raise
            finally:
                systemd.ready(f"Serving on {', '.join(self.configuration.addresses)}")

    async def edit(self, change: Callable[[Configuration], Edits], what: str) -> Edited:
        """Applies edits and keeps them; `what` they are, for the log.

        Raises what `change` and `reload` raise; then the running configuration stays.
        """
        async with self._changing:
            self._must_serve()
            running = self.configuration
            edits = change(running)
            changes = await self._swap(await asyncio.to_thread(self.origin.edited, running, edits))
            changes = at_users_places(changes, self.configuration)
            log.info("edited", edit=what, generation=changes.generation, edits=len(edits))
            return Edited(**dict(changes), **dict(await self.keeper.save_edits()))

    def to_keep(self) -> Kept:
        """Everything that outlives the process, as it is now."""
        running, lasting = self.configuration, that_last(self.evacuations, time.time())
        return Kept(running.edits, self.states, running.splits, lasting, self.endpoints.known)

    async def difference(self, text: str, name: str, directory: Path) -> Difference:
        """What a reload would touch if this text stood in the file. Raises `ConfigError`."""
        running = self.configuration
        written = await asyncio.to_thread(load_text, text, name, directory)
        would = await asyncio.to_thread(self.origin.prepare, written, (), running.edits)
        would = would.with_found(running.found).with_splits(running.splits).with_answers(running.answers)
        warnings = [*would.resolved.warnings, *await asyncio.to_thread(check, would.document)]
        warnings += without_effect(running, would, self.to_keep().evacuations)
        report = await asyncio.to_thread(self.dataplane.status)
        told, own = [str(each) for each in warnings], own_options(running, would)
        return difference(running.document, would.document, report, told, own)

    async def upgrade(self) -> int:
        """Starts a successor, hands over to it, and drains; its process id.

        Raises `UpgradeError` or `DrainingError`; then this process goes on as if nothing had happened.
        """
        async with self._changing, self.keeper.still():
            self._must_serve()
            log.info("upgrading", command=" ".join(command()))
            with ExitStack() as sent:
                inheritance = await asyncio.to_thread(self._inheritance)
                sent.callback(inheritance.close)
                successor = await asyncio.to_thread(start_successor, inheritance, command())
            if self._asked_to_end:
                successor.dismiss()
                self._must_serve()
            successor.take_over()
            systemd.notify(f"MAINPID={successor.pid}")
            log.info("upgraded", pid=os.getpid(), successor=successor.pid)
            self._handed_over = True
            self.admin.retire()
            self.keeper.leave()
            self._end_within(self.configuration.resolved.upgrade_timeout.seconds)
            return successor.pid

    def request_shutdown(self, reason: str) -> None:
        """Drains within `shutdown_timeout`; asked again, ends at once."""
        if self._asked_to_end:
            log.warning("ending at once", reason=f"{reason} again", connections=self.dataplane.connections())
            self._ending_now.set()
            return
        self._asked_to_end = True
        timeout = self.configuration.resolved.shutdown_timeout
        log.info("shutting down", reason=reason, timeout=str(timeout), connections=self.dataplane.connections())
        systemd.stopping("Draining")
        self._end_within(timeout.seconds)

    def request_reload(self, reason: str) -> None:
        """Reloads in the background; the outcome is in the log."""

        async def reload() -> None:
            # `reload` has logged what is wrong; a draining process has nothing to reload.
            with suppress(ConfigError, ListenError, AdminError, OSError, DrainingError):
                await self.reload()

        log.info("reloading", reason=reason)
        self._in_background(reload())

    def request_log_reopening(self) -> None:
        """Closes the access log and opens it again; the outcome is in the log."""
        try:
            self.dataplane.reopen_logs()
        except OSError as error:
            log.error("access log not reopened", problem=str(error))  # noqa: TRY400 - its text is the reason
        else:
            log.info("access log reopened")

    async def _reload(self) -> Changes:
        running = self.configuration
        configuration = await asyncio.to_thread(self.origin.read, running.edits)
        changes = await self._swap(configuration)
        report(configuration, running, changes)
        if configuration.resolved.state_directory != running.resolved.state_directory:
            await self.keeper.save_edits()
            await self.keeper.save_found()
        return at_users_places(changes, self.configuration)

    async def _swap(self, configuration: Configuration) -> Changes:
        """Makes another configuration the running one. Raises as `reload`; then the running one stays."""
        running = self.configuration
        settings, directory = configuration.resolved.settings, configuration.written.source.directory
        known = standing_in(running, settings) | self.endpoints.known
        prepared = await self.endpoints.prepare(settings, directory, known)
        try:
            configuration = configuration.with_found(found_of(known_of(prepared))).with_splits(running.splits)
            configuration = configuration.with_answers(running.answers)
            admin = self._admin_for(configuration)
            try:
                changes = await self._apply(configuration)
            except Exception:
                if admin is not self.admin:
                    admin.abandon()
                raise
        except Exception:
            self.endpoints.discard(prepared)
            raise
        self.endpoints.follow(prepared)
        self.certificates.follow(configuration)
        report_cleared(running.splits, configuration.splits)
        await self._move_admin(admin)
        return changes.model_copy(update={"process": changed_options(running, configuration)})

    async def _apply_found(self) -> None:
        """Makes what discovery has found the running configuration, and keeps it."""
        async with self._changing:
            if self.phase is not Phase.SERVING:
                return
            running = self.configuration
            configuration = await asyncio.to_thread(running.with_found, found_of(self.endpoints.known))
            if configuration.document.text != running.document.text:
                try:
                    changes = await self._apply(configuration)
                except (ConfigError, OSError) as error:
                    log.error("endpoints not applied", problem=str(error))  # noqa: TRY400 - its text is the reason
                    return
                log.info("endpoints applied", generation=changes.generation, pools=", ".join(changes.pools.changed))
            await self.keeper.save_found()

    async def _alter(self, change: Callable[[Configuration], Configuration]) -> Changes | None:
        """Makes the running configuration another one that touches no socket; `None` once the process drains.

        `change` may block. Raises what it raises, `ConfigError` and `OSError`; then the running one stays.
        """
        async with self._changing:
            if self.phase is not Phase.SERVING:
                return None
            configuration = await asyncio.to_thread(change, self.configuration)
            return await self._apply(configuration)

    async def _apply(self, configuration: Configuration) -> Changes:
        """Makes it the running one, and keeps what it has changed of what operators have set."""
        running = self.configuration
        changes, states = await asyncio.to_thread(apply, configuration, self.dataplane, running, self.states)
        self.configuration = configuration
        if (states, configuration.splits) != (self.states, running.splits):
            self.states = states
            await self.keeper.save_edits()
        return changes

    def _admin_for(self, configuration: Configuration) -> AdminServer:
        """The server that a configuration asks for: the one that is there, or another that listens already."""
        settings = configuration.resolved.admin
        if settings == self.configuration.resolved.admin:
            return self.admin
        stays = str(settings.bind) == self.admin.address
        return self._open_admin(settings, (self.admin.address, self.admin.descriptor()) if stays else None)

    async def _move_admin(self, admin: AdminServer) -> None:
        """Answers on `admin`, and no longer where the API was before."""
        if admin is self.admin:
            return
        old, self.admin = self.admin, admin
        await admin.start(self)
        # In the background, because the request that asked for the reload may be one that closing waits for.
        self._in_background(old.close(handed_over=old.address == admin.address))

    async def _drain(self) -> None:
        """Waits until no connection is open, the deadline has passed, or the end is wanted at once."""
        await asyncio.to_thread(self.dataplane.drain)
        while self.dataplane.connections() > 0 and time.monotonic() < self._deadline:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending_now.wait(), POLL_SECONDS)
                break
        if (cut := self.dataplane.connections()) > 0:
            log.warning("connections cut", connections=cut)

    def _inheritance(self) -> Inheritance:
        admin = (self.admin.address, self.admin.descriptor())
        return Inheritance(self.dataplane.sockets(), self.dataplane.health(), admin, self.to_keep())

    def _end_within(self, seconds: float) -> None:
        self.phase = Phase.DRAINING
        self._deadline = min(self._deadline, time.monotonic() + seconds)
        self._ending.set()

    def _must_serve(self) -> None:
        if self.phase is not Phase.SERVING:
            raise DrainingError("this process drains; nothing can be changed any more")

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
