"""All that goes to the endpoints of a pool goes under its TLS: streams, tunnels, copies, questions, checks."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..support.authority import Authority
from ..support.balancer import configuration
from ..support.endpoint import OK, Endpoint
from ..support.server import pattern
from ..support.tls_endpoint import TlsEndpoint
from ..support.wire import Peer

HEALTHY = "HTTP/1.1 204 No Content\r\n\r\n"


@pytest.fixture
def secured(authority: Authority) -> Iterator[Callable[..., TlsEndpoint]]:
    """Starts an endpoint under TLS with a certificate for its address."""
    with contextlib.ExitStack() as running:

        def start(name: str = "127.0.0.1", **options: Any) -> TlsEndpoint:
            return running.enter_context(TlsEndpoint(authority.server(authority.issue(name), **options)))

        yield start


@pytest.fixture
def relay(run, port, authority):
    """A balancer with one TCP listener in front of an endpoint; the balancer, and how to connect."""

    def start(endpoint: object, listener: str = "", pool: str = ""):
        bound, tls = port(), f'tls = {{ ca = "{authority.bundle}" }}\n{pool}\n'
        balancer = run(
            f'workers = 1\naccess_log = "-"\n[listeners.db]\nbind = "{bound}"\nprotocol = "tcp"\npool = "app"\n'
            f'{listener}\n[pools.app]\nendpoints = "https://{endpoint}"\n{tls}'
        )
        return balancer, lambda: Peer.connect(bound.address)

    return start


def test_streams_of_tcp_listeners(relay, secured) -> None:
    """Either side may speak first; no protocol is offered, and each side may end by itself."""
    endpoint = secured(alpn=["http/1.1"])
    _, connect = relay(endpoint)
    with connect() as client:
        peer = endpoint.accept()
        assert peer.session.selected_alpn_protocol() is None
        peer.send("ready")
        assert client.read_exactly(5) == b"ready"
        client.send("question")
        assert peer.read_exactly(8) == b"question"
        client.half_close()
        peer.expect_end()
        peer.send("the last word")
        peer.session.unwrap()
        assert client.read_to_end() == b"the last word"


def test_many_megabytes_at_once(relay, secured) -> None:
    """Both ways, from TLS to none."""
    endpoint = secured()
    _, connect = relay(endpoint)
    size = 8 << 20
    with connect() as client:
        peer, got = endpoint.accept(), []
        threads = [
            threading.Thread(target=lambda: peer.send(pattern(0, size))),
            threading.Thread(target=lambda: got.append(client.read_exactly(size))),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.send(pattern(0, size)[:100_000])
        assert peer.read_exactly(100_000) == pattern(0, size)[:100_000]
    assert got == [pattern(0, size)]


def test_tls_on_both_sides(relay, secured, authority) -> None:
    """Terminated, and begun anew."""
    endpoint, site = secured(), authority.issue("shop.test")
    listener = f'tls = {{ certificates = "site" }}\n{site.table("site")}'
    _, connect = relay(endpoint, listener=listener)
    plain = connect()
    context = authority.context()
    with contextlib.closing(context.wrap_socket(plain.socket, server_hostname="shop.test")) as client:
        peer = endpoint.accept()
        client.sendall(b"question")
        assert peer.read_exactly(8) == b"question"
        peer.send("answer")
        assert client.recv(16) == b"answer"


def test_a_stream_whose_endpoint_is_not_believed(relay, secured) -> None:
    """It is cut before a byte of it has left."""
    endpoint = secured("other.test")
    balancer, connect = relay(endpoint)
    with connect() as client:
        client.send("secret")
        # It is tried twice, as the only one there is.
        endpoint.refuse()
        assert client.expect_cut() == b""
    balancer.access(reason="upstream-certificate-bad")


def test_the_proxy_protocol_comes_first_and_in_clear(web, secured, authority) -> None:
    """As those expect it who terminate TLS behind it."""
    endpoint = secured()
    serving = web(f"https://{endpoint}", pool=f'proxy_protocol = "v1"\ntls = {{ ca = "{authority.bundle}" }}')
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    source = client.socket.getsockname()[1]
    peer = endpoint.accept(f"PROXY TCP4 127.0.0.1 127.0.0.1 {source} {serving.port.address[1]}\r\n".encode())
    peer.read_request()
    peer.send(OK)
    assert client.read_response().text == "ok"


def test_upgraded_connections(web, secured, authority) -> None:
    """WebSocket is HTTP until the 101, and bytes from there on."""
    endpoint = secured()
    client = web(f"https://{endpoint}", pool=f'tls = {{ ca = "{authority.bundle}" }}').connect()
    client.send("GET /chat HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    peer = endpoint.accept()
    assert peer.read_head().one("Upgrade") == "websocket"
    peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
    assert client.read_head().status == 101
    assert client.read_exactly(5) == b"first"
    client.send("second")
    assert peer.read_exactly(6) == b"second"


def test_copies_and_questions(run, port, servers, secured, authority) -> None:
    """Mirrors and `forward_auth` have pools as others do."""
    app, bound = servers("app"), port()
    shadow, service = secured(), secured()
    tls = f'tls = {{ ca = "{authority.bundle}" }}'
    pools = f'[pools.shadow]\nendpoints = ["https://{shadow}"]\n{tls}\n[pools.auth]\nendpoints = ["https://{service}"]\n{tls}\n'
    route = (
        '[[routes]]\npool = "app"\nmirror = { pool = "shadow" }\nforward_auth = { pool = "auth", path = "/verify" }\n'
    )
    balancer = run(configuration(app[0], bind=bound, routes=pools + route))
    with Peer.connect(bound.address) as client:
        client.send("GET /page HTTP/1.1\r\nHost: test\r\n\r\n")
        _, question = service.serve()
        assert question.target == "/verify"
        _, copy = shadow.serve()
        assert copy.target == "/page"
        assert client.read_response().text == "app"
    balancer.until(lambda: balancer.metric("evenly_mirror_requests_total", result="answered") == 1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_checks_over_http(web, secured, authority, version) -> None:
    """The next check goes over the same connection."""
    endpoint = secured(only=version)
    check = 'health_check = { type = "http", path = "/up", interval = "100ms", timeout = "20s" }'
    pool = f'{check}\ntls = {{ ca = "{authority.bundle}" }}'
    serving = web(f"https://{endpoint}", pool=pool)
    peer, request = endpoint.serve(HEALTHY)
    assert request.target == "/up"
    serving.balancer.until(lambda: serving.balancer.endpoint(endpoint)["state"] == "healthy")
    assert peer.read_request().target == "/up"
    peer.send(HEALTHY)


def test_checks_over_tcp_end_with_a_word(web, secured, authority) -> None:
    """A session is enough, and its end is told: a reset right behind the handshake would look like a failure."""
    endpoint = secured()
    pool = f'health_check = {{ type = "tcp", interval = "100ms" }}\ntls = {{ ca = "{authority.bundle}" }}'
    serving = web(f"https://{endpoint}", pool=pool)
    endpoint.accept().expect_end()
    serving.balancer.until(lambda: serving.balancer.endpoint(endpoint)["state"] == "healthy")


def test_checks_say_what_is_wrong_with_a_certificate(web, secured, authority) -> None:
    """The endpoint is out before a client has found it out."""
    endpoint = secured("other.test")
    pool = (
        'health_check = { type = "http", path = "/up", interval = "100ms", unhealthy_after = 1 }\n'
        f'tls = {{ ca = "{authority.bundle}" }}'
    )
    serving = web(f"https://{endpoint}", pool=pool)
    endpoint.refuse()
    serving.balancer.until(lambda: serving.balancer.endpoint(endpoint)["state"] == "unhealthy")
    assert serving.balancer.endpoint(endpoint)["reason"] == "tls: certificate is for another name"


def test_checks_say_that_an_endpoint_of_http2_does_not_choose_it(web, secured, authority) -> None:
    """Nor does it get a check's bytes."""
    endpoint = secured(alpn=["http/1.1"])
    serving = web(
        f"https://{endpoint}",
        pool='health_check = { type = "http", path = "/up", interval = "100ms", unhealthy_after = 1 }\n'
        f'protocol = "h2"\ntls = {{ ca = "{authority.bundle}" }}',
    )
    endpoint.accept().expect_end()
    serving.balancer.until(lambda: serving.balancer.endpoint(endpoint)["state"] == "unhealthy")
    reason = "tls: endpoint does not choose HTTP/2, which alone is offered (ALPN)"
    assert serving.balancer.endpoint(endpoint)["reason"] == reason


def test_a_silent_endpoint_is_late(web, endpoint: Endpoint) -> None:
    """The handshake has no time of its own."""
    pool = (
        'health_check = { type = "tcp", interval = "100ms", timeout = "100ms", unhealthy_after = 1 }\n'
        "tls = { verify = false }"
    )
    serving = web(endpoint, pool=pool)
    endpoint.accept()
    serving.balancer.until(lambda: serving.balancer.endpoint(endpoint)["state"] == "unhealthy")
    assert serving.balancer.endpoint(endpoint)["reason"] == "tls: timed out"
