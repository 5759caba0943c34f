"""The running balancer: what the admin API and the signals may ask of it, and how it ends."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Coroutine
from contextlib import ExitStack, suppress
from typing import Any

import structlog

from evenly import __version__
from evenly.config import ConfigError, expand
from evenly.control.admin import AdminError, AdminServer, OpenAdmin
from evenly.control.binding import ListenError
from evenly.control.dataplane import Dataplane
from evenly.control.origin import Configuration, Origin
from evenly.control.process import systemd
from evenly.control.process.watch import watch as watch_files
from evenly.control.reload import apply, report
from evenly.control.status import Changes, EndpointStatus, OperatorState, Phase, PoolStatus, Status
from evenly.control.upgrade.handover import Inheritance
from evenly.control.upgrade.successor import command, start_successor

POLL_SECONDS = 0.05
"""How often draining looks whether the last connection has ended; nobody notices a twentieth of a second."""

log = structlog.get_logger("evenly")


class UnknownNameError(Exception):
    """A pool or an endpoint that is not there; `known` are those that are."""

    def __init__(self, noun: str, name: str, known: list[str]) -> None:
        super().__init__(f"expected the {noun} to be one of {', '.join(known) or 'none at all'}; found {name}")
        self.known = known


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
    ) -> None:
        self.origin = origin
        self.configuration = configuration
        self.dataplane = dataplane
        self.admin = admin
        self.phase = Phase.SERVING
        self._open_admin = open_admin
        self._started = time.time()
        # Reloads, upgrades and changes to endpoints happen one after the other: each starts from what the last left.
        self._changing = asyncio.Lock()
        self._ending = asyncio.Event()
        self._ending_now = asyncio.Event()
        self._deadline = math.inf
        self._asked_to_end = False
        self._handed_over = False
        # The loop keeps weak references only.
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, *, watch: bool) -> None:
        """Answers the admin API until the end is asked for, then drains."""
        await self.admin.start(self)
        if watch:
            self._in_background(
                watch_files(lambda: self.configuration.fingerprint, lambda: self.request_reload("--watch"))
            )
        interval = systemd.watchdog_interval(os.environ)
        if interval is not None:
            self._in_background(_feed_watchdog(interval))
        await self._ending.wait()
        if self._handed_over:
            # The successor answers there now.
            await self.admin.close(handed_over=True)
        await self._drain()
        if not self._handed_over:
            await self.admin.close(handed_over=False)
        for task in self._tasks:
            task.cancel()

    async def status(self) -> Status:
        """What the packet path reports, and the process around it."""
        report = await asyncio.to_thread(self.dataplane.status)
        return Status(
            **dict(report),
            phase=self.phase,
            version=__version__,
            pid=os.getpid(),
            started=self._started,
            configuration=self.origin.name,
        )

    async def metrics(self) -> str:
        """All metrics in Prometheus' text format."""
        return await asyncio.to_thread(self.dataplane.metrics)

    async def pool(self, name: str) -> PoolStatus:
        """One pool. Raises `UnknownNameError`."""
        pools = {pool.name: pool for pool in (await self.status()).pools}
        if name not in pools:
            raise UnknownNameError("pool", name, sorted(pools))
        return pools[name]

    async def set_endpoint(
        self, pool: str, address: str, state: OperatorState | None, weight: int | None
    ) -> EndpointStatus:
        """Sets what is not `None`; the endpoint afterwards. Raises `UnknownNameError` and `DrainingError`."""
        async with self._changing:
            self._must_serve()
            known = [endpoint.address for endpoint in (await self.pool(pool)).endpoints]
            if address not in known:
                raise UnknownNameError("endpoint", address, known)
            await asyncio.to_thread(self.dataplane.set_endpoint, pool, address, state, weight)
            log.info("endpoint set", pool=pool, endpoint=address, state=state and str(state), weight=weight)
            return next(each for each in (await self.pool(pool)).endpoints if each.address == address)

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

    async def upgrade(self) -> int:
        """Starts a successor, hands over to it, and drains; its process id.

        Raises `UpgradeError` or `DrainingError`; then this process goes on as if nothing had happened.
        """
        async with self._changing:
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
        configuration = await asyncio.to_thread(self.origin.read)
        admin = self._admin_for(configuration)
        try:
            changes = await asyncio.to_thread(apply, configuration, self.dataplane, running)
        except Exception:
            if admin is not self.admin:
                admin.abandon()
            raise
        self.configuration = configuration
        report(configuration, running, changes)
        await self._move_admin(admin)
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
        return Inheritance(self.dataplane.sockets(), self.dataplane.health(), admin)

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


async def _feed_watchdog(interval: float) -> None:
    """Tells systemd that the loop turns, until cancelled."""
    while True:
        systemd.notify("WATCHDOG=1")
        await asyncio.sleep(interval)
