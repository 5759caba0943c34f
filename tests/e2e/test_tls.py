"""HTTPS: requests over TLS are served as all others are, and endpoints, logs and metrics know that they came so."""

import contextlib
import ssl
import subprocess
import threading

import pytest

from ..support.programs import program
from ..support.server import pattern

SECURE = 'tls = { certificates = "site" }'
INTERMEDIATE = 'tls = { certificates = "site", policy = "intermediate" }'


@pytest.fixture
def secure(web, authority):
    """A balancer with one HTTPS listener for `shop.test` in front of endpoints."""

    def start(*endpoints: object, listener: str = SECURE, top: str = 'access_log = "-"', **parts: str):
        site = authority.issue("shop.test", "*.shop.test")
        parts["routes"] = site.table("site") + parts.get("routes", "")
        return web(*endpoints, listener=listener, top=top, **parts)

    return start


def test_requests_come_and_are_answered(secure, servers, authority) -> None:
    """Keep-alive, small and large, with HTTP/1.1 agreed on by ALPN."""
    serving = secure(*servers("a"))
    with authority.connect(serving.port, alpn=["http/1.1"]) as client:
        assert client.session.selected_alpn_protocol() == "http/1.1"
        assert client.session.version() == "TLSv1.3"
        for _ in range(3):
            assert client.ask().text == "a"
        size = 5 << 20
        assert client.ask(f"/bytes/{size}").body == pattern(0, size)
        assert client.ask().text == "a"


@pytest.mark.parametrize("listener", [SECURE, INTERMEDIATE], ids=["1.3", "1.2"])
def test_bodies_both_ways(secure, servers, authority, listener) -> None:
    """Many megabytes each way at once, every byte in its place."""
    serving, size = secure(*servers("a"), listener=listener), 8 << 20
    context = authority.context()
    if listener is INTERMEDIATE:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    body = pattern(0, size)
    with authority.connect(serving.port, context=context) as client:
        got = []

        def read() -> None:
            got.append(client.read_response("POST"))

        reading = threading.Thread(target=read)
        reading.start()
        client.send(f"POST /echo HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {size}\r\n\r\n", body)
        reading.join(60)
        assert got[0].body == body


def test_the_endpoint_the_log_and_cookies_know(secure, endpoint, authority) -> None:
    """`X-Forwarded-Proto: https`, `{scheme}`, `Secure`, and version, cipher and name in the access log."""
    serving = secure(
        endpoint,
        pool='affinity = { cookie = "node" }',
        routes='[[routes]]\npool = "app"\nrequest_headers = { set = { X-Scheme = "{scheme}" } }\n',
    )
    with authority.connect(serving.port, "www.shop.test") as client:
        client.send("GET /a HTTP/1.1\r\nHost: www.shop.test\r\nX-Forwarded-Proto: http\r\n\r\n")
        _, request = endpoint.serve()
        assert request.all("X-Forwarded-Proto") == ["https"]
        assert request.one("X-Scheme") == "https"
        assert "; Secure" in (client.read_response().one("Set-Cookie") or "")
        line = serving.balancer.access(target="/a")
        assert line["tls"] == "1.3"
        assert line["cipher"].startswith("TLS13_AES_")
        assert line["sni"] == "www.shop.test"
        assert line["tls_resumed"] is False


def test_redirects_say_https(secure, servers, authority) -> None:
    """A redirect that keeps the scheme keeps this one."""
    serving = secure(*servers("a"), routes='[[routes]]\nredirect = "{scheme}://{host}/new"\n')
    with authority.connect(serving.port) as client:
        assert client.ask(host="shop.test").one("Location") == "https://shop.test/new"


def test_policies(secure, servers, authority) -> None:
    """Modern is TLS 1.3 only; intermediate has 1.2, unless `min_version` says otherwise."""
    old = authority.context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    for listener, accepted in [
        (SECURE, False),
        (INTERMEDIATE, True),
        ('tls = { certificates = "site", policy = "intermediate", min_version = "1.3" }', False),
    ]:
        serving = secure(*servers("a"), listener=listener)
        if accepted:
            with authority.connect(serving.port, context=old) as client:
                assert client.ask().text == "a"
                assert client.session.version() == "TLSv1.2"
        else:
            with pytest.raises(ssl.SSLError, match=r"(?i)version"):
                authority.connect(serving.port, context=old)
            serving.balancer.access(reason="tls-no-match")


def test_curl(secure, servers, authority) -> None:
    """A client that nobody here has written is content, without `-k`."""
    serving = secure(*servers("a"))
    command = [
        program("curl"),
        "-sS",
        "--cacert",
        str(authority.bundle),
        "--resolve",
        f"shop.test:{serving.port.number}:127.0.0.1",
    ]
    done = subprocess.run(
        [*command, f"https://shop.test:{serving.port.number}/", f"https://shop.test:{serving.port.number}/"],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "aa"), done.stderr
    assert serving.balancer.metric("evenly_tls_handshakes_total", version="1.3", resumed="false") == 1


def test_a_cut_response_does_not_look_whole(secure, endpoint, authority) -> None:
    """An endpoint that breaks off: the client sees no end of TLS, whatever the framing."""
    serving = secure(endpoint)
    with authority.connect(serving.port) as client:
        client.send("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n")
        peer, _ = endpoint.serve("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        assert client.read_until(b"hello")
        peer.reset()
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            client.read_to_end()


def test_a_whole_response_ends_as_tls_does(secure, endpoint, authority) -> None:
    """A response that only the end of the connection ends is followed by close_notify."""
    serving = secure(endpoint)
    with authority.connect(serving.port) as client:
        client.send("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n")
        endpoint.serve("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        # Without it, Python raises SSLEOFError here.
        assert client.read_to_end().endswith(b"hello")


def test_a_large_response_that_only_the_end_ends(secure, servers, authority) -> None:
    """Every byte comes before close_notify."""
    serving, size = secure(*servers("a")), 3 << 20
    with authority.connect(serving.port) as client:
        client.send(f"GET /bytes/{size} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
        assert client.read_response().body == pattern(0, size)
        client.expect_end()


def test_idle_connections_end_properly(secure, servers, authority) -> None:
    """At the idle timeout and when a listener drains, with close_notify."""
    serving = secure(*servers("a"), listener=SECURE + '\ntimeouts = { idle = "200ms" }')
    with authority.connect(serving.port) as client:
        assert client.ask().text == "a"
        client.expect_end()


def test_clients_that_leave_without_a_word(secure, servers, authority) -> None:
    """They are common, and no failure between requests."""
    serving = secure(*servers("a"))
    for _ in range(3):
        client = authority.connect(serving.port)
        assert client.ask().text == "a"
        client.break_off()
    client = authority.connect(serving.port)
    client.send("POST /echo HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 10\r\n\r\n12345")
    with contextlib.suppress(OSError):
        client.reset()
    serving.balancer.access(reason="client-gone")


def test_upgrades_go_through(secure, endpoint, authority) -> None:
    """After 101 the bytes are the endpoint's and the client's, under TLS on one side."""
    serving = secure(endpoint)
    with authority.connect(serving.port) as client:
        client.send("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        peer, _ = endpoint.serve(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst"
        )
        assert client.read_head().status == 101
        assert client.read_exactly(5) == b"first"
        client.send("question")
        assert peer.read_exactly(8) == b"question"
        peer.send("answer")
        assert client.read_exactly(6) == b"answer"


def test_half_a_gigabyte_would_not_fit(secure, servers, authority) -> None:
    """A client that does not read costs the balancer buffers of a fixed size, not the response."""
    serving = secure(*servers("a"))
    with authority.connect(serving.port) as client:
        assert client.ask().text == "a"
        before = serving.balancer.memory()
        client.send("GET /bytes/200000000 HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        assert client.read_exactly(100_000)
        assert serving.balancer.memory() - before < 20 << 20


def test_status_and_metrics(secure, servers, authority) -> None:
    """Handshakes are counted by version and outcome, and stand in the status."""
    serving = secure(*servers("a"))
    with authority.connect(serving.port) as client:
        assert client.ask().text == "a"
    [listener] = serving.balancer.status()["listeners"]
    assert listener["tls"] == {"handshakes": 1, "resumed": 0, "failures": 0}
    assert serving.balancer.metric("evenly_certificate_expiry_timestamp_seconds", certificate="site") > 1e9
