"""Talks to systemd: tells it what the process is doing, and takes over the sockets that it opened.

Both protocols are a datagram and two environment variables, stable since 2010 (sd_notify(3), sd_listen_fds(3)); the
packages on PyPI either need libsystemd and a compiler or wrap the same lines, so they are written out here. Without
systemd every call does nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping

FIRST_DESCRIPTOR = 3
"""Where systemd puts the sockets it opened (SD_LISTEN_FDS_START)."""


def notify(*lines: str) -> bool:
    """Sends assignments such as "READY=1" in one datagram; whether anybody was there to take it.

    A full or vanished socket is no reason to stop serving, so failures to send are not errors.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    # A leading "@" stands for the NUL byte of Linux' abstract socket names.
    target = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(), target)
    except OSError:
        return False
    return True


def ready(status: str) -> None:
    """The service serves. The process id is sent as well: after an upgrade it is not the one systemd started."""
    notify("READY=1", f"MAINPID={os.getpid()}", f"STATUS={status}")


def reloading() -> None:
    """A reload begins; `ready` ends it. The time is required by `Type=notify-reload`."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def stopping(status: str) -> None:
    """The service ends; systemd's stop timeout runs from here."""
    notify("STOPPING=1", f"STATUS={status}")


def watchdog_interval(environment: Mapping[str, str]) -> float | None:
    """Seconds between two "WATCHDOG=1", half of what systemd waits for; `None` when no watchdog is set for us."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2_000_000 if microseconds.isdigit() and int(microseconds) > 0 else None


async def feed_watchdog(interval: float) -> None:
    """Tells systemd every `interval` seconds that the loop turns, until cancelled."""
    while True:
        notify("WATCHDOG=1")
        # The interval is what systemd asks for: nothing else is waited for.
        await asyncio.sleep(interval)


def listening_sockets(environment: Mapping[str, str]) -> list[tuple[str, list[int]]]:
    """Descriptors of the TCP sockets that systemd opened for this process, by the address they are bound to.

    Several sockets may be bound to one address (`ReusePort=`). Unix sockets are left alone: listeners have none.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    taken: dict[str, list[int]] = {}
    for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(environment.get("LISTEN_FDS", "0"))):
        os.set_inheritable(descriptor, False)
        address = bound_address(descriptor)
        if address is not None:
            taken.setdefault(address, []).append(descriptor)
    return list(taken.items())


def bound_address(descriptor: int) -> str | None:
    """Where a listening TCP socket is bound, as the configuration would write it ("[::]:8080").

    `None` for a socket of any other kind. The descriptor stays open.
    """
    with socket.socket(fileno=os.dup(descriptor)) as duplicate:
        if duplicate.family not in (socket.AF_INET, socket.AF_INET6) or duplicate.type != socket.SOCK_STREAM:
            return None
        host, port = duplicate.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
