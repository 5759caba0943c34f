"""Connections to endpoints under TLS end with a word, so that no endpoint suspects that something was cut off.

An end without `close_notify` (RFC 8446 §6.1) is an error wherever these tests read.
"""

import signal
from collections.abc import Callable, Iterator

import pytest

from ..support.balancer import Web
from ..support.choosing_endpoint import ChoosingEndpoint
from ..support.endpoint import OK, Endpoint

NO_ERROR = 0
CLOSING = OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
ENDINGS = ["idle", "reload", "stop"]


@pytest.fixture
def choosing(authority) -> Iterator[ChoosingEndpoint]:
    """An endpoint under TLS that speaks both."""
    with ChoosingEndpoint(authority.server(authority.issue("127.0.0.1")), "h2", "http/1.1") as endpoint:
        yield endpoint


@pytest.fixture
def before(web, authority, choosing) -> Callable[..., Web]:
    """A balancer before that endpoint, whose connections are not idle for long if `how` is that."""

    def start(how: str = "", pool: str = "", **parts: str) -> Web:
        idle = 'keepalive = { idle_timeout = "100ms" }' if how == "idle" else ""
        return web(f"https://{choosing}", pool=f'tls = {{ ca = "{authority.bundle}" }}\n{pool}\n{idle}', **parts)

    return start


def end(serving: Web, how: str, endpoint: Endpoint, other: Endpoint) -> None:
    """Gives the balancer a reason to close what is idle."""
    if how == "reload":
        serving.balancer.reload(serving.balancer.file.read_text().replace(str(endpoint), str(other)))
    if how == "stop":
        serving.balancer.signal(signal.SIGTERM)


@pytest.mark.parametrize("how", ENDINGS)
def test_http2_ends_with_goaway(before, choosing, endpoint, how) -> None:
    """Behind it comes what ends the session."""
    serving = before(how, 'protocol = "h2"')
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer = choosing.accept_http2()
    peer.answer(peer.request().stream)
    assert client.read_response().text == "ok"
    end(serving, how, choosing, endpoint)
    while not peer.is_closed:
        peer.receive()
    assert peer.goaway is not None
    assert peer.goaway.error_code == NO_ERROR


@pytest.mark.parametrize("how", ENDINGS)
def test_an_idle_connection_ends_with_close_notify(before, choosing, endpoint, how) -> None:
    """Whatever ends it."""
    serving = before(how)
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = choosing.serve()
    assert client.read_response().text == "ok"
    end(serving, how, choosing, endpoint)
    peer.expect_end()


def test_a_connection_that_serves_once_ends_with_close_notify(before, choosing) -> None:
    """Its endpoint has said that no other request is to come."""
    client = before().connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = choosing.serve(CLOSING)
    assert client.read_response().text == "ok"
    peer.expect_end()


def test_so_does_one_that_has_brought_a_copy(before, choosing, endpoint) -> None:
    """A mirror's endpoint, too."""
    routes = '[[routes]]\nmirror = { pool = "app" }\npool = "real"\n\n'
    serving = before(routes=f'{routes}[pools.real]\nendpoints = ["{endpoint}"]\n')
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.serve()
    assert client.read_response().text == "ok"
    peer, _ = choosing.serve(CLOSING)
    peer.expect_end()


def test_and_one_that_has_let_a_request_in(before, choosing, endpoint) -> None:
    """A service's that is asked whether requests may come in."""
    routes = '[[routes]]\nforward_auth = { pool = "app", path = "/" }\npool = "real"\n\n'
    serving = before(routes=f'{routes}[pools.real]\nendpoints = ["{endpoint}"]\n')
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = choosing.serve(CLOSING)
    endpoint.serve()
    assert client.read_response().text == "ok"
    peer.expect_end()
