"""TLS to endpoints: whom they are asked for, whom is believed, and what becomes of a request when nobody is."""

import contextlib
import select
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ..support.authority import Authority, Files
from ..support.balancer import Web
from ..support.endpoint import OK, Endpoint
from ..support.http2_endpoint import Http2Peer
from ..support.tls_endpoint import TlsEndpoint
from ..support.wire import DEADLINE

LOGGED = 'access_log = "-"'


@pytest.fixture
def secured(authority: Authority) -> Iterator[Callable[..., TlsEndpoint]]:
    """Starts an endpoint under TLS: `secured("localhost")` shows a certificate for this name."""
    with contextlib.ExitStack() as running:

        def start(*names: str, days: float = 90, **options: Any) -> TlsEndpoint:
            context = authority.server(authority.issue(*names, days=days), **options)
            return running.enter_context(TlsEndpoint(context))

        yield start


def trusting(authority: Authority, more: str = "", attempts: int = 1) -> str:
    """The pool's options, with which it believes the authority of the test."""
    return f'retry = {attempts}\ntls = {{ ca = "{authority.bundle}"{more} }}'


def refused(serving: Web, endpoint: object, reason: str, trouble: str) -> None:
    """The request that was sent ends with 502 for this reason, which is told everywhere."""
    balancer = serving.balancer
    balancer.access(reason=reason, status=502)
    assert balancer.metric("evenly_endpoint_failures_total", endpoint=str(endpoint), reason=reason) >= 1
    assert trouble in balancer.wait_log(f"pool app: TLS with {endpoint}: {trouble}", level="warning")["event"]
    assert balancer.endpoint(endpoint)["tls"]["trouble"] == trouble


def test_a_name_is_asked_for_and_verified(web, secured, authority) -> None:
    """`https://NAME:PORT` is all that it takes, besides whom to believe; HTTP/1.1 is offered."""
    endpoint = secured("localhost", alpn=["http/1.1"])
    serving = web(f"https://localhost:{endpoint.port}", pool=trusting(authority))
    client = serving.connect()
    client.send("GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    peer, request = endpoint.serve()
    assert client.read_response().text == "ok"
    assert (endpoint.asked, request.one("Host")) == (["localhost"], "shop.test")
    assert (peer.session.selected_alpn_protocol(), peer.session.version()) == ("http/1.1", "TLSv1.3")
    # The connection is used again.
    client.send("GET /b HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    assert peer.read_request().target == "/b"
    peer.send(OK)
    assert client.read_response().text == "ok"
    assert serving.balancer.metric("evenly_upstream_tls_handshakes_total", resumed="false") == 1


def test_an_address_is_verified_as_such(web, secured, authority) -> None:
    """There is no name to ask for, so the certificate has to be for the address."""
    endpoint = secured("127.0.0.1")
    serving = web(f"https://{endpoint}", pool=trusting(authority))
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    endpoint.serve()
    assert client.read_response().text == "ok"
    assert endpoint.asked == [None]


def test_sni_goes_before_the_address(web, secured, authority) -> None:
    """Also for a table's endpoints without `https://`."""
    endpoint = secured("api.test")
    serving = web(endpoint, pool=trusting(authority, ', sni = "api.test"'))
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    endpoint.serve()
    assert client.read_response().text == "ok"
    assert endpoint.asked == ["api.test"]


@pytest.mark.parametrize(
    ("names", "options", "more", "trouble"),
    [
        (("other.test",), {}, "", "certificate is for another name"),
        (("api.test",), {"days": -1}, "", "certificate has expired"),
        (("api.test",), {}, "unknown", "certificate is of nobody who is trusted"),
    ],
)
def test_a_certificate_that_is_not_valid(web, secured, authority, tmp_path, names, options, more, trouble) -> None:
    """Nothing is sent, and the client is answered 502."""
    (tmp_path / "stranger").mkdir()
    believed = Authority(tmp_path / "stranger") if more else authority
    endpoint = secured(*names, **options)
    serving = web(endpoint, top=LOGGED, pool=trusting(believed, ', sni = "api.test"'))
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    endpoint.refuse()
    assert client.read_response().status == 502
    refused(serving, endpoint, "upstream-certificate-bad", trouble)


def test_without_verification(web, secured) -> None:
    """For those who say so: whoever answers is believed."""
    endpoint = secured("other.test", days=-1)
    serving = web(endpoint, pool="tls = { verify = false }")
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    endpoint.serve()
    assert client.read_response().text == "ok"


def test_the_system_is_believed_by_itself(run, port, secured, authority) -> None:
    """As OpenSSL finds it."""
    endpoint, bound = secured("127.0.0.1"), port()
    text = f'workers = 1\n[listeners.web]\nbind = "{bound}"\n[pools.app]\nendpoints = ["https://{endpoint}"]\n'
    environment = {"SSL_CERT_FILE": str(authority.bundle), "SSL_CERT_DIR": str(authority.directory / "nothing")}
    serving = Web(run(text, environment=environment), bound)
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    endpoint.serve()
    assert client.read_response().text == "ok"
    serving.hang_up()


def test_an_endpoint_that_speaks_no_tls(web, endpoint) -> None:
    """It is told apart from one whose certificate is bad."""
    serving = web(endpoint, top=LOGGED, pool="tls = { verify = false }\nretry = 1")
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    peer = endpoint.accept()
    assert peer.read_exactly(1) == b"\x16", "a ClientHello"
    peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    assert client.read_response().status == 502
    refused(serving, endpoint, "upstream-tls-failed", "what the endpoint sends is not TLS")


def test_another_endpoint_takes_over(web, endpoint, secured, authority) -> None:
    """A handshake that fails is tried elsewhere, as a connection is that cannot be made."""
    good = secured("127.0.0.1")
    pool = trusting(authority, attempts=2) + "\nkeepalive = { max_idle = 0 }"
    serving = web(f"https://{endpoint}", f"https://{good}", top=LOGGED, pool=pool)
    client = serving.connect()
    closing = threading.Thread(target=lambda: endpoint.accept().close())
    closing.start()
    # One of them begins with the one that closes at once.
    for _ in range(2):
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        good.serve()
        assert client.read_response().text == "ok"
    serving.balancer.access(status=200, attempts=2)
    closing.join()
    failed = {"endpoint": str(endpoint), "reason": "upstream-tls-failed"}
    assert serving.balancer.metric("evenly_endpoint_failures_total", **failed) >= 1


@pytest.mark.parametrize("alpn", [[], ["http/1.1"]], ids=["nothing", "nothing-in-common"])
def test_an_endpoint_has_to_choose_http2_that_is_all_it_is_offered(web, secured, authority, alpn) -> None:
    """It is told that nothing comes, and gets none of it; whoever does choose it takes over."""
    endpoint, good = secured("127.0.0.1", alpn=alpn), secured("127.0.0.1", alpn=["h2"])
    pool = trusting(authority, attempts=2) + '\nprotocol = "h2"'
    serving = web(f"https://{endpoint}", f"https://{good}", top=LOGGED, pool=pool)
    client, got = serving.connect(), list[bytes]()
    refusing = threading.Thread(target=lambda: got.append(endpoint.accept().read_to_end()))
    refusing.start()
    # One of them begins with the one that does not.
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    peer = Http2Peer(good.accept().session)
    peer.answer(peer.request().stream)
    assert client.read_response().text == "ok"
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    peer.answer(peer.request().stream)
    assert client.read_response().text == "ok"
    refusing.join()
    assert got == [b""]
    serving.balancer.access(status=200, attempts=2)
    text = "endpoint does not choose HTTP/2, which alone is offered (ALPN)"
    serving.balancer.wait_log(f"pool app: TLS with {endpoint}: {text}", level="warning")
    assert serving.balancer.endpoint(endpoint)["tls"]["trouble"] == text
    failed = {"endpoint": str(endpoint), "reason": "upstream-tls-failed"}
    assert serving.balancer.metric("evenly_endpoint_failures_total", **failed) == 1


def test_a_silent_endpoint_is_cut_off_at_the_connect_deadline(web, endpoint) -> None:
    """The handshake is a part of connecting."""
    pool = 'tls = { verify = false }\ntimeouts = { connect = "200ms" }\nretry = 1'
    serving = web(endpoint, top=LOGGED, pool=pool)
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    peer = endpoint.accept()
    assert client.read_response().status == 504
    assert peer.expect_cut().startswith(b"\x16")
    serving.balancer.access(reason="connect-timeout")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(web, secured, authority, version) -> None:
    """Each endpoint has a memory of its own, so that also those resume that share no tickets."""
    endpoints = [secured("127.0.0.1", only=version), secured("127.0.0.1", only=version)]
    pool = trusting(authority) + "\nkeepalive = { max_idle = 0 }"
    serving = web(*(f"https://{endpoint}" for endpoint in endpoints), pool=pool)
    client, resumed = serving.connect(), {str(endpoint): list[bool]() for endpoint in endpoints}
    for _ in range(4):
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        # Either may be the first.
        ready = select.select([endpoint.socket for endpoint in endpoints], [], [], DEADLINE)[0]
        endpoint = next(endpoint for endpoint in endpoints if endpoint.socket in ready)
        peer, _ = endpoint.serve()
        assert client.read_response().text == "ok"
        peer.expect_end()
        resumed[str(endpoint)].append(peer.session.session_reused)
    assert list(resumed.values()) == [[False, True], [False, True]]
    assert serving.balancer.metric("evenly_upstream_tls_handshakes_total", resumed="true") == 2
    assert serving.balancer.endpoint(endpoints[0])["tls"] == {"handshakes": 2, "resumed": 1, "trouble": None}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_endpoints_that_ask_for_a_certificate(web, secured, authority, version) -> None:
    """They are shown the pool's; without one they refuse, which is told as what it is, under TLS 1.3 too."""
    endpoint = secured("127.0.0.1", clients=True, only=version)
    us = authority.issue("us.test")
    pool = trusting(authority, ', client_certificate = "us"')
    serving = web(f"https://{endpoint}", top=LOGGED, pool=pool, routes=us.table("us"))
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    peer, _ = endpoint.serve()
    assert client.read_response().text == "ok"
    assert peer.shown == {"us.test"}
    text = serving.balancer.file.read_text().replace(', client_certificate = "us"', "")
    serving.balancer.reload(text)
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    endpoint.refuse()
    assert client.read_response().status == 502
    trouble = {
        ssl.TLSVersion.TLSv1_2: "endpoint found nothing in common, or wants a client certificate",
        ssl.TLSVersion.TLSv1_3: "endpoint wants a client certificate",
    }[version]
    refused(serving, endpoint, "upstream-tls-failed", trouble)


def test_replaced_files_are_used_for_new_connections(web, secured, authority, tmp_path) -> None:
    """Another authority, and another certificate of ours: no reload is asked for, and what is open stays."""
    (tmp_path / "next").mkdir()
    after = Authority(tmp_path / "next")
    endpoint = secured("127.0.0.1", clients=True)
    pool = trusting(authority, ', client_certificate = "us"')
    us = authority.issue("us.test", file="us")
    serving = web(f"https://{endpoint}", pool=pool, routes=us.table("us"))
    first, second = serving.connect(), serving.connect()
    first.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    before = endpoint.accept()
    before.read_request()
    authority.bundle.write_bytes(after.bundle.read_bytes())
    authority.issue("new.test", file="us")
    serving.balancer.wait_log("certificates replaced")
    endpoint.context = authority_of_both(authority, after, after.issue("127.0.0.1"))
    second.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    peer, _ = endpoint.serve()
    assert second.read_response().text == "ok"
    assert peer.shown == {"new.test"}
    before.send(OK)
    assert first.read_response().text == "ok"
    assert before.shown == {"us.test"}


def authority_of_both(clients: Authority, server: Authority, files: Files) -> ssl.SSLContext:
    """A server whose certificate is of one authority, and its clients' of another."""
    context = server.server(files, clients=True)
    context.load_verify_locations(cadata=clients.root.public_bytes(Encoding.PEM).decode())
    return context


def test_a_pool_that_turns_to_tls_uses_no_plain_connection_again(web, endpoint, secured, authority) -> None:
    """What lies idle was made on other terms: a reload that turns TLS on means it."""
    serving = web(endpoint, pool="retry = 1")
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    plain, _ = endpoint.serve()
    assert client.read_response().text == "ok"
    text = serving.balancer.file.read_text()
    serving.balancer.reload(text.replace("[pools.app]", "[pools.app]\ntls = { verify = false }"))
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    peer = endpoint.accept()
    assert peer.read_exactly(1) == b"\x16"
    peer.close()
    assert client.read_response().status == 502
    # And back again.
    serving.balancer.reload(text)
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert plain.read_request().target == "/"
    plain.send(OK)
    assert client.read_response().text == "ok"


def test_large_bodies_both_ways(web, secured, authority) -> None:
    """Many records, and what one read brings is more than one record holds."""
    endpoint = secured("127.0.0.1")
    serving = web(f"https://{endpoint}", pool=trusting(authority))
    client, body = serving.connect(), bytes(range(256)) * 20_000
    client.send(f"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n")
    peer = endpoint.accept()
    head = peer.read_head()
    for start in range(0, len(body), 500_000):
        piece = body[start : start + 500_000]
        client.send(piece)
        assert peer.read_exactly(len(piece)) == piece
    assert head.one("Content-Length") == str(len(body))
    peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n")
    assert client.read_head().status == 200
    for start in range(0, len(body), 500_000):
        piece = body[start : start + 500_000]
        peer.send(piece)
        assert client.read_exactly(len(piece)) == piece


def test_an_answer_that_breaks_off_is_not_taken_for_whole(web, secured, authority) -> None:
    """Without a length, only TLS's own end is an end."""
    endpoint = secured("127.0.0.1")
    serving = web(f"https://{endpoint}", top=LOGGED, pool=trusting(authority))
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    peer = endpoint.accept()
    peer.read_request()
    peer.send("HTTP/1.1 200 OK\r\n\r\nhalf of")
    client.read_until(b"half of")
    peer.break_off()
    assert b"0\r\n\r\n" not in client.expect_cut()
    serving.balancer.access(reason="upstream-truncated")


def test_a_trouble_that_is_over_is_not_told_any_more(web, secured, authority) -> None:
    """The status says what is wrong, until it is right again."""
    endpoint = secured("127.0.0.1")
    right, endpoint.context = endpoint.context, authority.server(authority.issue("other.test"))
    serving = web(f"https://{endpoint}", pool=trusting(authority))
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    endpoint.refuse()
    assert client.read_response().status == 502
    assert serving.balancer.endpoint(endpoint)["tls"]["trouble"] == "certificate is for another name"
    endpoint.context = right
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    endpoint.serve()
    assert client.read_response().text == "ok"
    assert serving.balancer.endpoint(endpoint)["tls"]["trouble"] is None


def test_plain_endpoints_have_no_tls(web, endpoint: Endpoint) -> None:
    """Nor a word of it in their status."""
    serving = web(endpoint)
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    endpoint.serve()
    assert client.read_response().text == "ok"
    assert serving.balancer.endpoint(endpoint)["tls"] is None
