"""Connections are reused on both sides, and a connection that died while idle costs the client nothing."""

import pytest

from ..support.endpoint import OK


def test_reuse_on_both_sides(web, endpoint) -> None:
    """Many requests, one connection each side."""
    serving = web(endpoint)
    client = serving.connect()
    client.send("GET /0 HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve()
    client.read_response()
    for number in range(1, 50):
        client.send(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")
        assert peer.read_request().target == f"/{number}"
        peer.send(OK)
        assert client.read_response().status == 200
    assert not endpoint.is_asked()


def test_the_next_client_reuses_the_connection(web, endpoint) -> None:
    """Endpoint connections belong to the worker, not to a client."""
    serving = web(endpoint)
    peer = None
    for number in range(3):
        client = serving.connect()
        client.send(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")
        peer = peer or endpoint.accept()
        assert peer.read_request().target == f"/{number}"
        peer.send(OK)
        client.read_response()
        client.close()
    assert not endpoint.is_asked()


def test_reuse_off(web, endpoint) -> None:
    """`max_idle = 0` closes after each response."""
    client = web(endpoint, pool="keepalive = { max_idle = 0 }").connect()
    for _ in range(2):
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        peer, _ = endpoint.serve()
        client.read_response()
        peer.expect_end()


def test_client_asks_to_close(web, endpoint) -> None:
    """`Connection: close` ends the client's connection after the response, not the endpoint's."""
    serving = web(endpoint)
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    peer, _ = endpoint.serve()
    assert (client.read_response().one("Connection") or "").lower() == "close"
    client.expect_end()
    other = serving.connect()
    other.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert peer.read_request().target == "/2"


def idle_connection(web, endpoint, **parts: str):
    """A client, and an endpoint's connection that rests in the pool."""
    serving = web(endpoint, top='access_log = "-"', **parts)
    client = serving.connect()
    client.send("GET /warm HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve()
    client.read_response()
    return serving, client, peer


@pytest.mark.parametrize("how", ["close", "reset"])
def test_closed_while_idle(web, endpoint, how) -> None:
    """A connection that the endpoint closed while it was idle is not used; any method goes through."""
    _, client, peer = idle_connection(web, endpoint)
    getattr(peer, how)()
    client.send("POST /next HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
    _, request = endpoint.serve()
    assert (request.target, request.body) == ("/next", b"abc")
    assert client.read_response().status == 200


def test_stale_reuse_is_sent_again(web, endpoint) -> None:
    """An idempotent request that met the end of a reused connection without a byte of response is sent once more."""
    serving, client, peer = idle_connection(web, endpoint)
    client.send("GET /race HTTP/1.1\r\nHost: a\r\n\r\n")
    assert peer.read_request().target == "/race"
    peer.close()
    _, request = endpoint.serve()
    assert request.target == "/race"
    assert client.read_response().status == 200
    assert serving.balancer.access(target="/race")["resent"] in (True, 1)


def test_a_post_is_not_sent_again(web, endpoint) -> None:
    """A POST that may have been processed is never sent twice: 502."""
    _, client, peer = idle_connection(web, endpoint)
    client.send("POST /pay HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
    assert peer.read_request().body == b"abc"
    peer.close()
    assert client.read_response().status == 502
    assert not endpoint.is_asked()


def test_only_once_more(web, endpoint) -> None:
    """The second failure is the client's answer; there is no third try."""
    _, client, peer = idle_connection(web, endpoint)
    client.send("GET /race HTTP/1.1\r\nHost: a\r\n\r\n")
    peer.read_request()
    peer.close()
    again = endpoint.accept()
    again.read_request()
    again.close()
    assert client.read_response().status == 502
    assert not endpoint.is_asked()


def test_not_after_a_byte_of_response(web, endpoint) -> None:
    """Once a byte of response has come, the request was processed."""
    _, client, peer = idle_connection(web, endpoint)
    client.send("GET /begun HTTP/1.1\r\nHost: a\r\n\r\n")
    peer.read_request()
    peer.send("HTTP/1.1 20")
    peer.close()
    assert client.read_response().status == 502
    assert not endpoint.is_asked()


HINTS = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def test_not_after_an_interim_response(web, endpoint) -> None:
    """An interim response, too, shows that the request is being processed."""
    _, client, peer = idle_connection(web, endpoint)
    client.send("GET /hinted HTTP/1.1\r\nHost: a\r\n\r\n")
    peer.read_request()
    peer.send(HINTS)
    assert client.read_response().status == 103
    peer.close()
    assert client.read_response().status == 502
    assert not endpoint.is_asked()


@pytest.mark.parametrize("host", ["", 'host_rewrite = "endpoint"'], ids=["preserved", "rewritten"])
def test_not_when_the_body_is_gone(web, endpoint, host) -> None:
    """A body that streamed through cannot be sent again, even if the method is idempotent."""
    _, client, peer = idle_connection(web, endpoint, routes=f'[[routes]]\npool = "app"\n{host}\n')
    client.send("PUT /large HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", b"x" * 100_000)
    assert len(peer.read_request().body) == 100_000
    peer.send(HINTS)
    assert client.read_response().status == 103
    peer.close()
    assert client.read_response().status == 502
    assert not endpoint.is_asked()


def test_refused_goes_to_another_endpoint(web, endpoint, port) -> None:
    """A connection that was refused proves that nothing was processed: even a POST goes to another endpoint."""
    client = web(port(), endpoint, pool="keepalive = { max_idle = 0 }").connect()
    for number in range(4):
        client.send(f"POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        _, request = endpoint.serve()
        assert (request.target, request.body) == (f"/{number}", b"abc")
        assert client.read_response().status == 200
