"""Every wait ends: slow and silent peers are cut after the configured time, with a status, a reason and a counter."""

import contextlib
import time

import pytest

from ..support.endpoint import OK, Endpoint

SHORT = "300ms"
# Between the deadline itself and what a busy machine may add to it.
SOON = 5.0


def seconds_since(began: float) -> float:
    """What has passed."""
    return time.monotonic() - began


def assert_408(serving, client, reason: str, began: float) -> None:
    """The client is told and cut, in time; log and metric say why."""
    assert client.read_response().status == 408
    client.expect_end()
    assert 0.25 < seconds_since(began) < SOON
    assert serving.balancer.access(status=408)["reason"] == reason
    serving.balancer.until(lambda: serving.balancer.metric("evenly_terminations_total", reason=reason) == 1)


def test_header_timeout(web, endpoint) -> None:
    """A head that does not end is 408."""
    serving = web(endpoint, top='access_log = "-"', listener=f'timeouts = {{ header = "{SHORT}" }}')
    client = serving.connect()
    began = time.monotonic()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n")
    assert_408(serving, client, "request-timeout", began)


def test_body_timeout(web, endpoint) -> None:
    """A body that pauses is 408, and the endpoint is not left waiting."""
    serving = web(endpoint, top='access_log = "-"', listener=f'timeouts = {{ body = "{SHORT}" }}')
    client = serving.connect()
    began = time.monotonic()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    peer = endpoint.accept()
    peer.read_head()
    assert_408(serving, client, "client-slow", began)
    assert b"abc" in peer.expect_cut() + b"abc"


def test_interim_responses_put_nothing_off(web, endpoint) -> None:
    """An endpoint that says again and again that it works on it is late all the same: 504."""
    serving = web(endpoint, top='access_log = "-"', pool=f'timeouts = {{ response = "{SHORT}" }}')
    client = serving.connect()
    began = time.monotonic()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer = endpoint.accept()
    peer.read_head()
    client.socket.settimeout(0.02)
    received = b""
    while b" 504 " not in received:
        assert seconds_since(began) < SOON
        with contextlib.suppress(ConnectionError):
            peer.send("HTTP/1.1 102 Processing\r\n\r\n")
        with contextlib.suppress(TimeoutError):
            while piece := client.socket.recv(4096):
                received += piece
    assert received.startswith(b"HTTP/1.1 102 ")
    assert serving.balancer.access(status=504)["reason"] == "response-timeout"


def test_minimum_rate(web, endpoint) -> None:
    """A body that keeps trickling is 408 as well: each byte is in time, the whole never would be."""
    serving = web(
        endpoint, top='access_log = "-"', listener='limits = { min_rate = "10KiB/s", min_rate_grace = "200ms" }'
    )
    client = serving.connect()
    began = time.monotonic()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
    peer = endpoint.accept()
    peer.read_head()
    client.socket.settimeout(0.02)
    answered = b""
    while not answered and seconds_since(began) < SOON:
        try:
            client.send("x")
            answered = client.socket.recv(65536)
        except TimeoutError:
            continue
    assert answered.startswith(b"HTTP/1.1 408 ")
    assert serving.balancer.access(status=408)["reason"] == "client-slow"


def test_idle_timeout(web, endpoint) -> None:
    """An idle keep-alive connection is closed, without a word."""
    serving = web(endpoint, listener=f'timeouts = {{ idle = "{SHORT}" }}')
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.serve()
    client.read_response()
    began = time.monotonic()
    client.expect_end()
    assert seconds_since(began) < SOON


def test_idle_timeout_before_the_first_request(web, endpoint) -> None:
    """A connection that never says anything is closed as well."""
    serving = web(endpoint, listener=f'timeouts = {{ idle = "{SHORT}", header = "{SHORT}" }}')
    client = serving.connect()
    client.read_to_end()


def test_send_timeout(web, servers) -> None:
    """A client that takes nothing of its response is cut."""
    backend = servers("a")[0]
    serving = web(backend, top='access_log = "-"', listener=f'timeouts = {{ send = "{SHORT}" }}')
    client = serving.connect(receive_buffer=4096)
    client.send("GET /bytes/50000000 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert serving.balancer.access(target="/bytes/50000000")["reason"] == "send-timeout"
    assert client.drain() < 50_000_000


def test_minimum_rate_of_an_own_answer(web) -> None:
    """Evenly's own answers, too, are not held for a client that takes them too slowly."""
    size, requests = 1_000_000, 20
    serving = web(
        top='access_log = "-"',
        listener='limits = { min_rate = "10MiB/s", min_rate_grace = "200ms" }\ntimeouts = { send = "1m" }',
        routes=f'[[routes]]\nrespond = {{ body = "{"x" * size}" }}\n',
    )
    client = serving.connect(receive_buffer=4096)
    # The kernel's buffers take a few megabytes; somewhere behind them an answer gets stuck.
    client.send("GET /own HTTP/1.1\r\nHost: a\r\n\r\n" * requests)
    serving.balancer.access(target="/own", reason="send-timeout")
    assert client.drain() < size * requests


def test_response_timeout(web, endpoint) -> None:
    """An endpoint that does not answer is 504; the client's connection goes on, the endpoint's does not."""
    serving = web(endpoint, top='access_log = "-"', pool=f'timeouts = {{ response = "{SHORT}" }}')
    client = serving.connect()
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    peer = endpoint.accept()
    peer.read_request()
    assert client.read_response().status == 504
    peer.expect_cut()
    assert serving.balancer.access(target="/slow")["reason"] == "response-timeout"
    client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.serve()
    assert client.read_response().status == 200


def test_route_timeout(web, endpoint) -> None:
    """A route's deadline replaces the pool's."""
    serving = web(endpoint, routes=f'[[routes]]\npool = "app"\ntimeouts = {{ response = "{SHORT}" }}\n')
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.accept().read_request()
    assert client.read_response().status == 504


def test_upstream_idle_timeout(web, endpoint) -> None:
    """An endpoint that stops in the middle of a body: the client is cut, never left with what looks whole."""
    serving = web(endpoint, top='access_log = "-"', pool=f'timeouts = {{ idle = "{SHORT}" }}')
    client = serving.connect()
    client.send("GET /stalls HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.serve("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ")
    client.read_head()
    assert client.expect_cut() == b"half "
    assert serving.balancer.access(target="/stalls")["reason"] == "idle-timeout"


@pytest.fixture
def deaf():
    """An endpoint whose accept queue is full: connecting to it takes for ever."""
    from ..support.wire import Peer

    with Endpoint(backlog=0) as endpoint:
        waiting = []
        import socket

        for _ in range(3):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex((endpoint.ip, endpoint.port))
            waiting.append(Peer(sock))
        yield endpoint
        for peer in waiting:
            peer.close()


def test_connect_timeout(web, deaf) -> None:
    """An endpoint that cannot be connected to in time is 504."""
    serving = web(deaf, top='access_log = "-"', pool=f'timeouts = {{ connect = "{SHORT}" }}')
    client = serving.connect()
    assert client.ask("/deaf").status == 504
    assert serving.balancer.access(target="/deaf")["reason"] == "connect-timeout"


def test_connect_refused(web, port) -> None:
    """An endpoint that is not there is 502, and the reason says so."""
    serving = web(port(), top='access_log = "-"')
    response = serving.connect().ask("/gone")
    assert response.status == 502
    assert serving.balancer.access(target="/gone")["reason"] == "connect-failed"


def test_upstream_connections_are_not_kept_for_ever(web, endpoint) -> None:
    """An idle connection to an endpoint is closed after the pool's idle time."""
    serving = web(endpoint, pool=f'keepalive = {{ idle_timeout = "{SHORT}" }}')
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve(OK)
    client.read_response()
    peer.expect_end()
