"""Networks of a test's own: clients, a balancer and endpoints in namespaces of their own, on wires of their own."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .programs import program

NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of `setns(2)`."""


class Network:
    """Clients in 10.1.0.0/24 and fd01::/64, endpoints in 10.2.0.0/24 and fd02::/64.

    Between them is the balancer, .1 or ::1 on both sides, and the endpoints' way to everybody."""

    def __init__(self, name: str) -> None:
        self.clients, self.balancer, self.endpoints = (f"{name}{each}" for each in "cbe")
        self._libc = ctypes.CDLL(None, use_errno=True)

    def build(self) -> None:
        """Namespaces, wires, addresses and routes."""
        for each in (self.clients, self.balancer, self.endpoints):
            self._ip("netns", "add", each)
            self._ip("-n", each, "link", "set", "lo", "up")
        for number, (outer, addresses) in enumerate(
            [(self.clients, ("10.1.0.2/24", "10.1.0.3/24")), (self.endpoints, ("10.2.0.2/24", "10.2.0.3/24"))], 1
        ):
            near, far = f"near{number}", f"far{number}"
            self._ip("link", "add", near, "netns", outer, "type", "veth", "peer", "name", far, "netns", self.balancer)
            for address in (*addresses, f"fd0{number}::2/64"):
                self._address(outer, near, address)
            for address in (f"10.{number}.0.1/24", f"fd0{number}::1/64"):
                self._address(self.balancer, far, address)
            self._ip("-n", outer, "link", "set", near, "up")
            self._ip("-n", self.balancer, "link", "set", far, "up")
            for gateway in (f"10.{number}.0.1", f"fd0{number}::1"):
                self._ip("-n", outer, "route", "add", "default", "via", gateway)

    def remove(self) -> None:
        """Ends it; wires go with their namespaces."""
        for each in (self.clients, self.balancer, self.endpoints):
            subprocess.run([program("ip"), "netns", "del", each], check=False, stderr=subprocess.DEVNULL)

    @contextmanager
    def inside(self, namespace: str) -> Iterator[None]:
        """This thread, and what it starts, is in one of them."""
        with Path("/proc/thread-self/ns/net").open() as home, Path("/run/netns", namespace).open() as there:
            assert self._libc.setns(there.fileno(), NEW_NETWORK) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert self._libc.setns(home.fileno(), NEW_NETWORK) == 0

    def _address(self, namespace: str, wire: str, address: str) -> None:
        # Without the wait for duplicates, in which an IPv6 address cannot be used.
        family = ["nodad"] if ":" in address else []
        self._ip("-n", namespace, "address", "add", address, "dev", wire, *family)

    def _ip(self, *arguments: str) -> None:
        subprocess.run([program("ip"), *arguments], check=True)


@contextmanager
def network() -> Iterator[Network]:
    """Builds one; only root may, and no other test needs it."""
    if os.geteuid() != 0:
        # The kernel lets nobody else make namespaces and wires between them, and there is no other way to see that
        # connections come from an address which is none of this machine's.
        pytest.skip("no networks of its own: not root")
    built = Network(f"ev{os.getpid()}")
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(built.remove)
        built.build()
        yield built
