"""Endings in the middle: whoever goes away, nobody is left with something that looks whole and is not."""

import pytest

from ..support.endpoint import OK


def test_early_response(web, endpoint) -> None:
    """An endpoint may answer before the body ends; the client gets the answer at once."""
    client = web(endpoint).connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", b"x" * 1000)
    peer = endpoint.accept()
    peer.read_head()
    peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
    response = client.read_response()
    assert (response.status, response.body) == (413, b"big")


def test_early_response_while_the_client_pushes(web, endpoint) -> None:
    """The same while the client keeps sending: the answer is not lost to a reset."""
    client = web(endpoint).connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
    peer = endpoint.accept()
    peer.read_head()
    peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
    peer.close()
    try:
        for _ in range(100):
            client.send(b"x" * 100_000)
    except OSError:
        pass
    assert client.read_response().status == 413


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    "begun",
    [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nha",
    ],
    ids=["length", "between-chunks", "within-a-chunk"],
)
def test_endpoint_ends_within_a_body(web, endpoint, begun, how) -> None:
    """The client is cut off, before the end that its framing promises."""
    serving = web(endpoint, top='access_log = "-"')
    client = serving.connect()
    client.send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve(begun)
    client.read_head()
    getattr(peer, how)()
    assert not client.expect_cut().endswith(b"0\r\n\r\n")
    assert serving.balancer.access(target="/cut")["reason"] == "upstream-truncated"


def test_reset_while_a_body_runs_until_close(web, endpoint) -> None:
    """A response without a length that ends by a reset did not end: the client must not take it for whole."""
    client = web(endpoint).connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve("HTTP/1.1 200 OK\r\n\r\nhalf")
    client.read_head()
    client.read_until(b"half")
    peer.reset()
    assert not client.expect_cut().endswith(b"0\r\n\r\n")


def test_endpoint_ends_before_a_response(web, endpoint) -> None:
    """No byte of response on a fresh connection: 502 for what must not be repeated."""
    serving = web(endpoint, top='access_log = "-"')
    client = serving.connect()
    client.send("POST /gone HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
    peer = endpoint.accept()
    peer.read_request()
    peer.close()
    assert client.read_response().status == 502
    assert serving.balancer.access(target="/gone")["reason"] == "upstream-closed"


def test_client_goes_away_while_the_endpoint_works(web, endpoint) -> None:
    """Nobody waits for the answer any more, so the endpoint's connection is dropped."""
    serving = web(endpoint, top='access_log = "-"')
    client = serving.connect()
    client.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n")
    peer = endpoint.accept()
    peer.read_request()
    client.reset()
    peer.expect_cut()
    assert serving.balancer.access(target="/left")["reason"] == "client-gone"


@pytest.mark.parametrize("more", ["\r\n", "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"], ids=["line-end", "request"])
def test_client_goes_away_having_sent_more(web, endpoint, more) -> None:
    """That it had sent something behind its request does not hide that it went."""
    serving = web(endpoint, top='access_log = "-"')
    client = serving.connect()
    client.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n")
    peer = endpoint.accept()
    peer.read_request()
    client.send(more)
    # Once the second hint is through, the balancer has looked at the client at least once since it sent more.
    for _ in range(2):
        peer.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        assert client.read_response().status == 103
    client.reset()
    peer.expect_cut()
    assert serving.balancer.access(target="/left")["reason"] == "client-gone"


def test_client_goes_away_within_its_body(web, endpoint) -> None:
    """Half a body is never passed on as a whole one."""
    client = web(endpoint).connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
    peer = endpoint.accept()
    peer.read_head()
    client.close()
    assert not peer.expect_cut().endswith(b"0\r\n\r\n")


def test_client_goes_away_within_the_response(web, servers) -> None:
    """A download that nobody takes any more ends."""
    backend = servers("a")[0]
    serving = web(backend, top='access_log = "-"')
    client = serving.connect(receive_buffer=4096)
    client.send("GET /bytes/100000000 HTTP/1.1\r\nHost: a\r\n\r\n")
    client.read_head()
    client.reset()
    assert serving.balancer.access(target="/bytes/100000000")["reason"] == "client-gone"


def test_client_closes_only_its_sending_side(web, endpoint) -> None:
    """A client that has said all it has to say may still wait for the answer (half-close)."""
    client = web(endpoint, listener='timeouts = { half_close = "10s" }').connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    client.half_close()
    peer = endpoint.accept()
    peer.read_request()
    peer.send(OK)
    assert client.read_response().body == b"ok"
    client.expect_end()


def test_client_that_closed_its_side_is_not_waited_for_long(web, endpoint) -> None:
    """After `half_close` it counts as gone."""
    serving = web(endpoint, top='access_log = "-"', listener='timeouts = { half_close = "200ms" }')
    client = serving.connect()
    client.send("GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
    client.half_close()
    peer = endpoint.accept()
    peer.read_request()
    peer.expect_cut()
    assert serving.balancer.access(target="/half")["reason"] == "client-gone"


def test_closing_does_not_destroy_the_response(web, endpoint) -> None:
    """Unread input at the close makes the kernel send a reset, which must not overtake the response (RFC 9112 §9.6)."""
    serving = web(endpoint, top='access_log = "-"')
    # The response is larger than this buffer, so that its end is still on its way when the balancer closes.
    client = serving.connect(receive_buffer=4096)
    client.send("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    peer = endpoint.accept()
    peer.read_request()
    client.send("\r\n")
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 15000\r\n\r\n", b"x" * 15_000)
    serving.balancer.access(target="/last")
    assert client.read_response().body == b"x" * 15_000
    client.expect_end()


def test_endpoint_closes_only_its_sending_side(web, endpoint) -> None:
    """An endpoint that half-closes behind its response has sent it whole."""
    client = web(endpoint).connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve("HTTP/1.1 200 OK\r\n\r\nwhole")
    peer.half_close()
    assert client.read_response().body == b"whole"
