"""Sizes and counts have limits that are on by default; beyond them the client is told which."""

import pytest

from ..support.endpoint import OK
from ..support.wire import Peer


@pytest.mark.parametrize(
    ("limits", "request_bytes", "status", "reason"),
    [
        ('head = "1KiB"', b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 2000 + b"\r\n\r\n", 431, "head-too-large"),
        ("headers = 3", b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", 431, "head-too-large"),
        ('target = "64B"', b"GET /" + b"x" * 100 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "target-too-long"),
        ('body = "4B"', b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde", 413, "request-too-large"),
    ],
    ids=["head", "headers", "target", "body"],
)
def test_limit(web, endpoint, limits, request_bytes, status, reason) -> None:
    """Each limit has its status, and no endpoint is troubled."""
    serving = web(endpoint, top='access_log = "-"', listener=f"limits = {{ {limits} }}")
    client = serving.connect()
    client.send(request_bytes)
    assert client.read_response().status == status
    assert serving.balancer.access(status=status)["reason"] == reason
    assert not endpoint.is_asked()


def test_the_limit_itself_is_allowed(web, endpoint) -> None:
    """A body of exactly the limit passes."""
    client = web(endpoint, listener='limits = { body = "4B" }').connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd")
    _, request = endpoint.serve()
    assert request.body == b"abcd"
    assert client.read_response().status == 200


def test_chunked_body_beyond_the_limit(web, endpoint) -> None:
    """A body that grows beyond the limit on the way is 413, and the endpoint never gets its end."""
    client = web(endpoint, listener='limits = { body = "8B" }').connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n")
    peer = endpoint.accept()
    peer.read_head()
    client.send("8\r\nabcdefgh\r\n0\r\n\r\n")
    assert client.read_response().status == 413
    assert b"0\r\n\r\n" not in peer.expect_cut()


def test_a_route_may_allow_more(web, endpoint) -> None:
    """A route's limit replaces the listener's."""
    routes = '[[routes]]\npath = "/upload"\npool = "app"\nlimits = { body = "1KiB" }\n[[routes]]\npool = "app"\n'
    serving = web(endpoint, listener='limits = { body = "4B" }', routes=routes)
    client = serving.connect()
    client.send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789")
    endpoint.serve()
    assert client.read_response().status == 200
    client.send("POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789")
    assert client.read_response().status == 413


def test_client_beyond_the_connection_limit_waits(web, endpoint) -> None:
    """The limit does not refuse: the next client is served as soon as one has left."""
    serving = web(endpoint, listener="max_connections = 1", pool="keepalive = { max_idle = 0 }")
    first = serving.connect()
    first.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve()
    first.read_response()
    peer.expect_cut()
    second = serving.connect()
    second.send("GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
    assert not endpoint.is_asked(0.3)
    first.close()
    _, request = endpoint.serve(OK)
    assert request.target == "/second"
    assert second.read_response().status == 200


def test_connection_limit_over_all_listeners(run, port, endpoint) -> None:
    """`max_connections` of the whole process works across listeners."""
    one, two = port(), port()
    run(
        f'workers = 1\nmax_connections = 1\n[listeners.one]\nbind = "{one}"\n[listeners.two]\nbind = "{two}"\n'
        f'[pools.app]\nendpoints = ["{endpoint}"]\nkeepalive = {{ max_idle = 0 }}\n'
    )
    first, second = Peer.connect(one.address), Peer.connect(two.address)
    first.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.serve()
    first.read_response()
    second.send("GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
    assert not endpoint.is_asked(0.3)
    first.close()
    endpoint.serve()
    assert second.read_response().status == 200
    second.close()
