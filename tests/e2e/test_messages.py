"""Requests and responses go through whole, in each of the forms that HTTP/1.1 knows (RFC 9110, RFC 9112)."""

import pytest

from ..support.endpoint import OK


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"])
def test_any_method(web, endpoint, method) -> None:
    """Methods are passed on, known or not."""
    client = web(endpoint).connect()
    client.send(f"{method} /path?query=1 HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4\r\n\r\nbody")
    _, request = endpoint.serve()
    assert request.first == f"{method} /path?query=1 HTTP/1.1"
    assert request.one("Host") == "shop.example"
    assert request.body == b"body"
    response = client.read_response()
    assert (response.status, response.body) == (200, b"ok")


def test_head_has_no_body(web, endpoint) -> None:
    """A response to HEAD keeps its length and has no body; the connection goes on."""
    client = web(endpoint).connect()
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    assert client.read_response("HEAD").one("Content-Length") == "1000"
    client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    assert peer.read_request().target == "/next"
    peer.send(OK)
    assert client.read_response().body == b"ok"


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_body(web, endpoint, status) -> None:
    """204 and 304 end with their head."""
    client = web(endpoint).connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve(f"HTTP/1.1 {status} -\r\nETag: x\r\n\r\n")
    assert client.read_response().one("ETag") == "x"
    client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    assert peer.read_request().target == "/next"
    peer.send(OK)
    assert client.read_response().body == b"ok"


def test_chunked_both_ways(web, endpoint) -> None:
    """Chunks stream in both directions before the other side has finished; trailers do not disturb."""
    client = web(endpoint).connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    peer = endpoint.accept()
    head = peer.read_head()
    assert head.one("Transfer-Encoding") == "chunked"
    chunks = peer.read_chunks()
    assert next(chunks) == b"hello"
    client.send("6;extension=1\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n")
    assert b"".join(chunks) == b" world"
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
    assert client.read_head().one("Transfer-Encoding") == "chunked"
    answers = client.read_chunks()
    assert next(answers) == b"one"
    peer.send("3\r\ntwo\r\n0\r\n\r\n")
    assert b"".join(answers) == b"two"


def test_response_until_close(web, endpoint) -> None:
    """A response without a length reaches a 1.1 client whole, and its end can be told from a break."""
    client = web(endpoint).connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve("HTTP/1.1 200 OK\r\n\r\nall of it")
    peer.close()
    assert client.read_response().body == b"all of it"


@pytest.mark.parametrize("keep", [False, True])
def test_http10_client(web, endpoint, keep) -> None:
    """An HTTP/1.0 client gets what it understands; its connection stays open only if it asked for that."""
    client = web(endpoint).connect()
    client.send("GET / HTTP/1.0\r\n", "Connection: keep-alive\r\n" if keep else "", "\r\n")
    peer, request = endpoint.serve()
    assert request.first == "GET / HTTP/1.1"
    response = client.read_response()
    assert response.body == b"ok"
    if not keep:
        client.expect_end()
        return
    assert (response.one("Connection") or "").lower() == "keep-alive"
    client.send("GET /next HTTP/1.0\r\n\r\n")
    assert peer.read_request().target == "/next"
    peer.send(OK)
    client.read_response()
    client.expect_end()


def test_http10_client_gets_no_chunks(web, endpoint) -> None:
    """Chunked is 1.1 only (RFC 9112, section 6.1): a 1.0 client gets the data and the end of the connection."""
    client = web(endpoint).connect()
    client.send("GET / HTTP/1.0\r\n\r\n")
    endpoint.serve("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndata\r\n0\r\n\r\n")
    head = client.read_head()
    assert head.one("Transfer-Encoding") is None
    assert client.read_to_end() == b"data"


def test_pipelined_requests_are_answered_in_order(web, endpoint) -> None:
    """Requests sent at once are answered one after the other."""
    client = web(endpoint).connect()
    client.send(*(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n" for number in range(20)))
    peer = endpoint.accept()
    for _ in range(20):
        path = peer.read_request().target
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(path)}\r\n\r\n{path}")
    assert [client.read_response().text for _ in range(20)] == [f"/{number}" for number in range(20)]


def test_pipelined_behind_a_body(web, endpoint) -> None:
    """Bytes behind a body belong to the next request."""
    client = web(endpoint).connect()
    client.send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, first = endpoint.serve()
    assert first.body == b"abc"
    assert peer.read_request().target == "/2"
    peer.send(OK)
    assert [client.read_response().status for _ in range(2)] == [200, 200]


def test_bytes_one_by_one(web, endpoint) -> None:
    """A message may come in any pieces."""
    client = web(endpoint).connect()
    for byte in b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
        client.send(bytes([byte]))
    peer = endpoint.accept()
    assert peer.read_request().body == b"abc"
    for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n":
        peer.send(bytes([byte]))
    assert client.read_response().body == b"xyz"


def test_absolute_form(web, endpoint) -> None:
    """The target's authority wins over Host (RFC 9112, section 3.2.2), and the endpoint gets the origin form."""
    client = web(endpoint).connect()
    client.send("GET http://right.example/path?q HTTP/1.1\r\nHost: wrong.example\r\n\r\n")
    _, request = endpoint.serve()
    assert request.target == "/path?q"
    assert request.one("Host") == "right.example"


def test_options_asterisk(web, endpoint) -> None:
    """`OPTIONS *` is about the server as a whole."""
    client = web(endpoint).connect()
    client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
    _, request = endpoint.serve("HTTP/1.1 204 -\r\n\r\n")
    assert request.first == "OPTIONS * HTTP/1.1"
    assert client.read_response().status == 204


def test_continue_end_to_end(web, endpoint) -> None:
    """100-continue is the endpoint's to give: the body is asked for only when it wants it."""
    client = web(endpoint).connect()
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    peer = endpoint.accept()
    head = peer.read_head()
    assert head.one("Expect") == "100-continue"
    peer.send("HTTP/1.1 100 Continue\r\n\r\n")
    assert client.read_response().status == 100
    client.send("body")
    assert peer.read_body(head) == b"body"
    peer.send(OK)
    assert client.read_response().status == 200


def test_continue_refused(web, endpoint) -> None:
    """An endpoint that answers at once is heard at once, and the body is never sent."""
    client = web(endpoint).connect()
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 400\r\nExpect: 100-continue\r\n\r\n")
    peer = endpoint.accept()
    peer.read_head()
    peer.send("HTTP/1.1 401 -\r\nContent-Length: 0\r\n\r\n")
    assert client.read_response().status == 401


def test_early_hints(web, endpoint) -> None:
    """103 is passed on, ahead of the response."""
    client = web(endpoint).connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.serve("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" + OK)
    hints = client.read_response()
    assert (hints.status, hints.one("Link")) == (103, "</style.css>")
    assert client.read_response().body == b"ok"


def test_what_to_upgrade_to_is_told(web, endpoint) -> None:
    """426 says so in a field that is for one connection only (RFC 9110, section 15.5.22)."""
    client = web(endpoint).connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.serve("HTTP/1.1 426 -\r\nUpgrade: IRC/6.9\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n")
    response = client.read_response()
    assert (response.status, response.all("Upgrade"), response.all("Connection")) == (426, ["IRC/6.9"], ["Upgrade"])


def test_no_interim_response_for_http10(web, endpoint) -> None:
    """A 1.0 client does not know interim responses (RFC 9110, section 15.2)."""
    client = web(endpoint).connect()
    client.send("GET / HTTP/1.0\r\n\r\n")
    endpoint.serve("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" + OK)
    assert client.read_response().status == 200


def test_ipv6(web, run, port) -> None:
    """Listeners and endpoints may be IPv6."""
    import socket

    from ..support.endpoint import Endpoint
    from ..support.wire import Peer

    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback address")
    with Endpoint("::1") as endpoint:
        bound = port("::1")
        run(f'workers = 1\n[listeners.web]\nbind = "{bound}"\n[pools.app]\nendpoints = ["{endpoint}"]\n')
        with Peer.connect(bound.address) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            _, request = endpoint.serve()
            assert request.one("X-Forwarded-For") == "::1"
            assert client.read_response().body == b"ok"
