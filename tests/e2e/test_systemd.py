"""systemd: readiness, sockets that it opened, reload notices, the watchdog."""

import signal
import socket

from ..support.balancer import configuration
from ..support.ports import Port
from ..support.wire import Peer


def test_ready_names_the_process(web, servers) -> None:
    """READY=1 comes only once clients are served."""
    serving = web(*servers("a"))
    assert serving.connect().ask().text == "a"


def test_socket_activation(run, servers) -> None:
    """A socket that systemd opened is used instead of a bind; a client that came early is served."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        bound = Port.__new__(Port)
        bound.ip, bound.number = opened.getsockname()
        early = Peer.connect(bound.address)
        early.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        run(configuration(*servers("a"), bind=bound), descriptors=(opened,))
        assert early.read_response().text == "a"
        early.close()


def test_reload_is_announced(web, servers) -> None:
    """RELOADING=1 with its time, and READY=1 when it is done."""
    serving = web(*servers("a"))
    serving.balancer.signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in serving.balancer.notification("RELOADING=1")
    serving.balancer.notification("READY=1")


def test_watchdog(run, port, servers) -> None:
    """The watchdog is fed while the control plane turns."""
    balancer = run(configuration(*servers("a"), bind=port()), environment={"WATCHDOG_USEC": "200000"})
    for _ in range(3):
        balancer.notification("WATCHDOG=1")
