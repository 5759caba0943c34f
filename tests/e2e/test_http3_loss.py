"""HTTP/3 where the network loses packets: everything arrives, whole, and nothing stalls."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.http3 import both_ways
from ..support.programs import program
from ..support.server import pattern

NEW_NETWORK = 0x4000_0000
# Each fiftieth, which is 2 %, in both directions: the same in every run.
RULES = """
table inet loss {
    chain input {
        type filter hook input priority 0;
        meta l4proto udp numgen inc mod 50 0 drop
    }
}
"""


@pytest.fixture
def lossy() -> Iterator[None]:
    """A network of the test's own, whose loopback loses datagrams."""
    ip, nft = program("ip"), program("nft")
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open() as home:
        if libc.unshare(NEW_NETWORK):
            # Only root may have one, and no other test needs it.
            pytest.skip(f"no network of its own: {os.strerror(ctypes.get_errno())}")
        try:
            subprocess.run([ip, "link", "set", "lo", "up"], check=True)
            subprocess.run([nft, "-f", "-"], input=RULES, text=True, check=True)
            yield
        finally:
            assert libc.setns(home.fileno(), NEW_NETWORK) == 0


def test_bodies_arrive_whole(lossy, h3, servers) -> None:
    """Many small requests, and megabytes down and up that never stand still.

    EVENLY_BODY_MIB=100 has it do so with more; `pytest -s` shows how fast that is.
    """
    client, _ = h3(*servers("a"))
    for number in range(100):
        assert client.get(f"/bytes/{number}").body == pattern(0, number)
    print(both_ways(client, int(os.environ.get("EVENLY_BODY_MIB", "3")) << 20))
