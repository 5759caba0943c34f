"""Traffic needs nothing of the control plane: Python may stand still, and every request is served."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ..support.load import Load

# ptrace(2): unlike a signal, it stops one thread and leaves the rest of the process running.
SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]


@contextmanager
def stopped(thread: int) -> Iterator[None]:
    """Stops one thread of a child for as long as the block lasts."""
    for request in (SEIZE, INTERRUPT):
        if LIBC.ptrace(request, thread, None, None) != 0:
            pytest.skip(f"ptrace is not allowed here: {os.strerror(ctypes.get_errno())}")
    os.waitpid(thread, 0x40000000)  # __WALL
    try:
        yield
    finally:
        LIBC.ptrace(DETACH, thread, None, None)


def test_python_stands_still(web, servers) -> None:
    """The main thread is stopped: requests are served, endpoints are checked and leave the rotation."""
    check = (
        'health_check = { type = "http", path = "/healthz", interval = "100ms", '
        "unhealthy_after = 1, healthy_after = 1 }"
    )
    backends = servers("a", "b")
    serving = web(*backends, pool=check)
    for each in backends:
        serving.balancer.wait_log("endpoint", endpoint=str(each), to="healthy")
    with Load(serving.port, connections=4) as load:
        with stopped(serving.balancer.pid):
            load.wait_for(500)
            checks = backends[0].requests["/healthz"]
            backends[0].healthy = False
            serving.balancer.until(lambda: load.wait_for(50) or backends[0].requests["/healthz"] > checks + 2)
            served = backends[0].served
            load.wait_for(300)
            assert backends[0].served == served
        # And it goes on where it was.
        serving.balancer.wait_log("endpoint", endpoint=str(backends[0]), to="unhealthy")
        assert serving.balancer.status()["phase"] == "serving"
    load.assert_clean()
