"""SIGTERM drains within its deadline; a second one ends at once."""

import signal
import time

import pytest

from ..support.balancer import Web, configuration, run_verb
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


def drain(serving: Web) -> None:
    """SIGTERM, and the worker has heard of it: it was the last to close the listening socket."""
    serving.balancer.signal(signal.SIGTERM)
    serving.balancer.until(lambda: refuses(serving.port))


def test_sigterm_with_a_request_behind(web, endpoint) -> None:
    """A pipelined request that is not answered any more does not destroy the response before it."""
    serving = web(endpoint, top='access_log = "-"')
    # The response is larger than this buffer, so that its end is still on its way when the balancer closes.
    client = serving.connect(receive_buffer=4096)
    client.send("GET /last HTTP/1.1\r\nHost: a\r\n\r\n")
    peer = endpoint.accept()
    peer.read_request()
    client.send("GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
    drain(serving)
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 15000\r\n\r\n", b"x" * 15_000)
    serving.balancer.access(target="/last")
    response = client.read_response()
    assert (response.body, response.one("Connection")) == (b"x" * 15_000, "close")
    client.expect_end()
    client.close()
    assert serving.balancer.wait() == 0


def test_sigterm_during_an_early_response(web, endpoint) -> None:
    """A client that is still sending gets the response that ends its upload, while draining as at any other time."""
    serving = web(endpoint, top='access_log = "-"')
    client = serving.connect(receive_buffer=4096)
    client.send("POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
    peer = endpoint.accept()
    peer.read_head()
    drain(serving)
    peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 15000\r\n\r\n", b"x" * 15_000)
    serving.balancer.access(target="/large")
    for _ in range(10):
        client.send(b"y" * 1000)
    response = client.read_response()
    assert (response.status, response.body) == (413, b"x" * 15_000)
    client.expect_end()
    client.close()
    assert serving.balancer.wait() == 0


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


@pytest.mark.parametrize("owes", ["header", "hello"])
def test_who_has_said_nothing_yet_holds_nothing_up(run, port, endpoint, owes: str) -> None:
    """A connection that still owes its PROXY header, or its ClientHello, ends at once."""
    bound = port()
    listener = {
        "header": 'proxy_protocol = { from = ["127.0.0.1/32"] }\npool = "app"',
        "hello": 'routes = [{ sni = "a.test", pool = "app" }]',
    }[owes]
    balancer = run(
        f'workers = 1\naccess_log = "-"\n[listeners.db]\nbind = "{bound}"\nprotocol = "tcp"\n'
        f'timeouts = {{ header = "60s" }}\n{listener}\n[pools.app]\nendpoints = ["{endpoint}"]\n'
    )
    with Peer.connect(bound.address) as client:
        balancer.until(lambda: balancer.status()["connections"] == 1)
        balancer.signal(signal.SIGTERM)
        client.expect_cut()
        assert balancer.access(protocol="TCP")["reason"] == "drained"
        assert balancer.wait(deadline=10) == 0


@pytest.mark.parametrize("where", ["2> >(head -n 1 >/dev/null)", "2>&-"], ids=["reader gone", "closed"])
def test_without_anybody_who_reads_the_log(run, port, servers, where) -> None:
    """It serves, reloads and ends as always; only its lines are lost."""
    bound = port()
    text = configuration(*servers("a"), bind=bound)
    balancer = run(text, through=("bash", "-c", f'exec "$@" {where}', "evenly"))
    generation = balancer.status()["generation"]
    balancer.file.write_text(text.replace("[pools.app]", '[pools.app]\nslow_start = "1s"'))
    run_verb("reload", "--admin", str(balancer.admin_path))
    assert balancer.status()["generation"] == generation + 1
    with Peer.connect(bound.address) as client:
        assert client.ask().text == "a"
    balancer.signal(signal.SIGTERM)
    assert balancer.wait() == 0
