"""Finds out before the packet path binds whether it can, so that an error names the listener and what to do.

Also keeps two Evenlys from sharing a port by accident: workers bind with SO_REUSEPORT, which the kernel would let a
second process of the same user join silently.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Collection

from evenly.config import Problem
from evenly.control.origin import Configuration


class ListenError(Exception):
    """A listener whose address cannot be bound; `problem` says which, why, and what to do."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def check_addresses(configuration: Configuration, addresses: Collection[str], *, exclusive: bool) -> None:
    """Raises `ListenError` for the first listener with one of these addresses that cannot be bound.

    `exclusive`: nobody may listen there. Without it, sockets of this user with SO_REUSEPORT are allowed, as those of
    the configuration that is being replaced.
    """
    for name, listener in configuration.resolved.settings.listeners.items():
        for index, address in enumerate(listener.bind):
            if str(address) not in addresses:
                continue
            try:
                # As the packet path does: "[::]" takes IPv4 as well, unless somebody else is to have it.
                only_v6 = f"0.0.0.0:{address.port}" in configuration.addresses
                kind = socket.SOCK_DGRAM if listener.protocol == "udp" else socket.SOCK_STREAM
                _probe(kind, address.ip, address.port, exclusive=exclusive, only_v6=only_v6)
            except OSError as error:
                source = configuration.resolved.loaded.source
                reason = f"cannot listen on {address}: {explain(error, address.port)}"
                raise ListenError(source.problem(("listeners", name, "bind", index), reason)) from error


def shared(group: list[int], workers: int) -> list[int]:
    """Inherited descriptors of one address, as many as workers.

    A socket without SO_REUSEPORT, as systemd opens it, admits no other at its address, so the workers accept from
    duplicates of it. With the option, each of them binds a socket of its own.
    """
    with socket.socket(fileno=os.dup(group[0])) as first:
        if first.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
            return group
    return group + [os.dup(group[index % len(group)]) for index in range(workers - len(group))]


def _probe(kind: socket.SocketKind, ip: str, port: int, *, exclusive: bool, only_v6: bool) -> None:
    """Binds an address and lets it go. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, kind) as probe:
        # Without it, connections of an earlier process in TIME_WAIT would count as somebody listening. On UDP it would
        # let two sockets share the port.
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_v6)
        if not exclusive:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        probe.bind((ip, port))


def explain(error: OSError, port: int) -> str:
    """What the kernel's refusal means here, and what to do about it."""
    match error.errno:
        case errno.EADDRINUSE:
            return f"the address is already in use; see who listens there with `ss -ltnp 'sport = :{port}'`"
        case errno.EACCES if port < 1024:
            return (
                f"permission denied for port {port}: ports below 1024 need CAP_NET_BIND_SERVICE; "
                "grant it as examples/08-systemd does, or bind a port from 1024 up"
            )
        case errno.EADDRNOTAVAIL:
            return "no interface of this machine has this address"
        case _:
            return str(error.strerror or error)
