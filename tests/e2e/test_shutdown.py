"""SIGTERM drains within its deadline; a second one ends at once."""

import signal
import time

from ..support.endpoint import OK
from ..support.ports import Port
from ..support.wire import Peer


def refuses(port: Port) -> bool:
    """Whether nobody listens there any more."""
    try:
        Peer.connect(port.address).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_finishes_what_is_under_way(web, endpoint) -> None:
    """The request under way is answered, nothing new is accepted, then the process ends with 0."""
    serving = web(endpoint)
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer = endpoint.accept()
    peer.read_request()
    serving.balancer.signal(signal.SIGTERM)
    serving.balancer.notification("STOPPING=1")
    assert serving.balancer.admin.get("/healthz").status_code == 503
    serving.balancer.until(lambda: refuses(serving.port))
    peer.send(OK)
    response = client.read_response()
    assert (response.status, (response.one("Connection") or "").lower()) == (200, "close")
    client.expect_end()
    assert serving.balancer.wait() == 0


def test_sigterm_closes_idle_connections(web, servers) -> None:
    """Idle keep-alive connections do not hold it up."""
    serving = web(*servers("a"))
    client = serving.connect()
    client.ask()
    began = time.monotonic()
    serving.balancer.signal(signal.SIGTERM)
    client.expect_end()
    assert serving.balancer.wait() == 0
    assert time.monotonic() - began < 5


def test_deadline(web, endpoint) -> None:
    """What does not end in time is cut."""
    serving = web(endpoint, top='shutdown_timeout = "300ms"\naccess_log = "-"')
    client = serving.connect()
    client.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.accept().read_request()
    serving.balancer.signal(signal.SIGTERM)
    client.expect_cut()
    assert serving.balancer.wait() == 0
    serving.balancer.wait_log("connections cut", connections=1)


def test_second_sigterm(web, endpoint) -> None:
    """The second word is the last."""
    serving = web(endpoint)
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.accept().read_request()
    serving.balancer.signal(signal.SIGTERM)
    serving.balancer.wait_log("shutting down")
    serving.balancer.signal(signal.SIGTERM)
    assert serving.balancer.wait() == 0
    client.expect_cut()
