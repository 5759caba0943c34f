"""The life of the process, from its start to its end."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial

import structlog

from evenly import __version__
from evenly.config import ConfigError, Loaded
from evenly.config.edits import edited
from evenly.config.resolve import state_directory
from evenly.control.admin import OpenAdmin
from evenly.control.binding import check_addresses, shared
from evenly.control.dataplane import Dataplane
from evenly.control.endpoints import Endpoints, found_of, known_of
from evenly.control.evacuations import of_known_zones, that_last
from evenly.control.origin import UNEDITED, Configuration, Origin
from evenly.control.process import descriptors, events, signals, systemd
from evenly.control.reload import report_cleared
from evenly.control.states import as_health, under
from evenly.control.store import EDITS, Kept, Store
from evenly.control.supervisor import Supervisor
from evenly.control.upgrade.handover import Inheritance
from evenly.control.upgrade.predecessor import Predecessor

log = structlog.get_logger("evenly")


async def supervise(origin: Origin, open_admin: OpenAdmin, *, watch: bool = False) -> None:
    """Runs Evenly until it is told to end.

    Raises `ConfigError`, `ListenError`, `AdminError` or `OSError` if it cannot start, and `DismissedError` if it was
    started for an upgrade that did not happen.
    """
    predecessor = Predecessor.from_environment()
    try:
        supervisor = await start(origin, open_admin, predecessor)
    except Exception as error:
        if predecessor is not None:
            predecessor.fail(str(error))
        raise
    with ExitStack() as running:
        running.callback(supervisor.dataplane.stop)
        asked = partial(_in_loop, asyncio.get_running_loop(), supervisor.certificates.asked)
        running.enter_context(events.logged(supervisor.dataplane, asked))
        running.enter_context(signals.handled(supervisor))
        announce(supervisor)
        # What there is now stays: garbage is looked for in what comes later only.
        gc.freeze()
        gc.enable()
        await supervisor.run(watch=watch)
    log.info("stopped", pid=os.getpid())


def _in_loop(loop: asyncio.AbstractEventLoop, asked: Callable[[str], None], name: str) -> None:
    # The loop may have ended meanwhile.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(asked, name)


async def start(origin: Origin, open_admin: OpenAdmin, predecessor: Predecessor | None) -> Supervisor:
    """Reads the configuration, binds and serves; returns once no predecessor stands in the way."""
    inherited = predecessor.inheritance() if predecessor else Inheritance(systemd.listening_sockets(os.environ))
    descriptors.raise_limit()
    written, before = origin.load()
    kept = await asyncio.to_thread(_load, written) if inherited.kept is None else inherited.kept
    configuration = await asyncio.to_thread(origin.prepare, written, before, kept.edits)
    descriptors.report_lowered(configuration.resolved)
    # Before the listeners, because a live admin socket shows that this configuration is being served already.
    admin = open_admin(configuration.resolved.admin, inherited.admin)
    with ExitStack() as undo:
        # A socket that came from the predecessor stays its own if this process does not get to serve.
        undo.callback(admin.abandon)
        endpoints = Endpoints()
        settings, directory = configuration.resolved.settings, written.source.directory
        prepared = await endpoints.prepare(settings, directory, kept.found, hurry=True)
        endpoints.follow(prepared)
        configuration = configuration.with_found(found_of(known_of(prepared)))
        configuration = configuration.with_splits(kept.splits)
        operated = _that_fits(kept, configuration, time.time(), is_successor=bool(inherited.health))
        sockets = inherited.only(configuration.addresses)
        missing = set(configuration.addresses) - {address for address, _ in sockets}
        check_addresses(configuration, missing, exclusive=predecessor is None)
        workers = configuration.resolved.workers
        one_each = [(address, shared(group, workers)) for address, group in sockets]
        health = inherited.health or as_health(operated.states, operated.evacuations, time.time())
        dataplane = Dataplane.start(configuration.document, one_each, health)
        undo.callback(dataplane.stop)
        if predecessor is not None:
            predecessor.confirm()
        undo.pop_all()
    supervisor = Supervisor(origin, configuration, dataplane, admin, open_admin, endpoints, operated)
    # A predecessor may not have been able to write what it has handed over.
    if operated != kept or predecessor is not None:
        await supervisor.keeper.save_edits()
    return supervisor


def _that_fits(kept: Kept, configuration: Configuration, now: float, *, is_successor: bool) -> Kept:
    """What was set at run time, without what there is no place for any more; the log says what is dropped."""
    report_cleared(kept.splits, configuration.splits)
    states, _ = under(kept.states, configuration.document, now)
    evacuations = that_last(kept.evacuations, now)
    # A predecessor's packet path hands its zones over whoever is in them, as they stay over a reload.
    if not is_successor:
        known = of_known_zones(evacuations, configuration.resolved.settings, configuration.document)
        for zone in evacuations.keys() - known.keys():
            log.info("evacuation dropped", zone=zone, reason="no endpoint is in it any more")
        evacuations = known
    return replace(kept, states=states, splits=configuration.splits, evacuations=evacuations)


def _load(written: Loaded) -> Kept:
    """What an earlier process left in `state_dir`, without edits that do not go with the file any more.

    Whoever starts the process has a file that is good; edits of another day must not keep it from serving. A reload
    says so instead, since then something serves already.
    """
    store = Store(state_directory(written))
    kept = store.load()
    try:
        edited(written, kept.edits)
    except ConfigError as error:
        store.set_aside(EDITS, f"its edits do not go with the file any more: {error}")
        kept = replace(kept, edits=UNEDITED)
        with suppress(OSError):
            store.save_edits(kept)
    return kept


def announce(supervisor: Supervisor) -> None:
    """Says in the log, and to systemd, that clients are served and where."""
    configuration = supervisor.configuration
    log.info(
        "serving",
        version=__version__,
        pid=os.getpid(),
        configuration=supervisor.origin.name,
        listeners=", ".join(configuration.addresses),
        workers=configuration.resolved.workers,
        admin=supervisor.admin.address,
    )
    for problem in configuration.resolved.warnings:
        log.warning("configuration", problem=str(problem))
    systemd.ready(f"Serving on {', '.join(configuration.addresses)}")
