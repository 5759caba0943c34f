"""Plain HTTP is redirected, and browsers are told to come over TLS: one option each."""

import pytest

from ..support.wire import Peer

RUN = """
workers = 1
[listeners.secure]
bind = "{secure}"
tls = {{ certificates = "site", hsts = {hsts} }}
[listeners.plain]
bind = "{plain}"
redirect_https = {redirect}
[pools.app]
endpoints = ["{endpoint}"]
[[routes]]
path = "/own"
respond = {{ body = "own" }}
[[routes]]
path = "/said"
respond = {{ body = "said" }}
response_headers = {{ set = {{ Strict-Transport-Security = "max-age=1" }} }}
[[routes]]
path = "/guarded"
access = {{ allow = ["192.0.2.1"] }}
pool = "app"
[[routes]]
path = "/elsewhere"
redirect = "https://elsewhere.test/"
response_headers = {{ set = {{ X-Moved = "{{path}}" }} }}
[[routes]]
path = "/app"
pool = "app"
{table}
"""


@pytest.fixture
def serve(run, port, servers, authority):
    """Starts it; the ports for TLS and without."""

    def start(hsts='"1y"', redirect="true"):
        secure, plain = port(), port()
        table = authority.issue("shop.test").table("site")
        balancer = run(
            RUN.format(secure=secure, plain=plain, hsts=hsts, redirect=redirect, endpoint=servers("a")[0], table=table)
        )
        return secure, plain, balancer

    return start


def fields(response, name="strict-transport-security"):
    return response.all(name)


def test_every_response_over_tls_has_it_and_none_without(serve, authority) -> None:
    """Endpoints' responses, fixed ones, redirects and errors; a route's own word goes before it."""
    secure, plain, _ = serve()
    with authority.connect(secure) as client:
        for path, status in [("/app", 200), ("/own", 200), ("/guarded", 403), ("/elsewhere", 302), ("/missing", 404)]:
            response = client.ask(path, host="shop.test")
            assert (path, response.status, fields(response)) == (path, status, ["max-age=31536000"])
        assert fields(client.ask("/said", host="shop.test")) == ["max-age=1"]
    with Peer.connect(plain.address) as client:
        for path in ("/app", "/own", "/missing"):
            response = client.ask(path, host="shop.test")
            assert (response.status, fields(response)) == (308, [])


def test_in_the_long_form(serve, authority) -> None:
    """Subdomains and preload; another port and status for the redirect."""
    secure, plain, _ = serve(
        '{ max_age = "2y", include_subdomains = true, preload = true }', "{ port = 8443, status = 301 }"
    )
    with authority.connect(secure) as client:
        found = fields(client.ask("/app", host="shop.test"))
        assert found == ["max-age=63072000; includeSubDomains; preload"]
    with Peer.connect(plain.address) as client:
        response = client.ask("/a%20b?c=d", host="shop.test:8080")
        assert (response.status, fields(response, "location")) == (301, ["https://shop.test:8443/a%20b?c=d"])


def test_a_redirect_has_its_routes_fields(serve, authority) -> None:
    """As every other response of the route."""
    secure, _, _ = serve()
    with authority.connect(secure) as client:
        response = client.ask("/elsewhere", host="shop.test")
        assert (fields(response, "location"), fields(response, "x-moved")) == (
            ["https://elsewhere.test/"],
            ["/elsewhere"],
        )


def test_where_to_must_be_known(serve) -> None:
    """Without a host (HTTP/1.0), or a path, there is nothing to redirect to: 400, and no half an address."""
    _, plain, _ = serve()
    for request in ("GET /a HTTP/1.0", "OPTIONS * HTTP/1.1\r\nHost: shop.test"):
        with Peer.connect(plain.address) as client:
            client.send(f"{request}\r\n\r\n")
            response = client.read_response()
            assert (request, response.status, fields(response, "location")) == (request, 400, [])


def test_an_endpoints_own_word_goes_before_it(run, port, endpoint, authority) -> None:
    """It may know better; two fields would be a mistake (RFC 6797, section 7.1)."""
    secure = port()
    table = authority.issue("shop.test").table("site")
    run(
        f'workers = 1\n[listeners.secure]\nbind = "{secure}"\ntls = {{ certificates = "site", hsts = "1y" }}\n'
        f'[pools.app]\nendpoints = ["{endpoint}"]\n{table}'
    )
    with authority.connect(secure) as client:
        client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        with endpoint.accept() as upstream:
            upstream.read_request()
            upstream.send("HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=7\r\nContent-Length: 0\r\n\r\n")
            assert fields(client.read_response()) == ["max-age=7"]


def test_a_route_that_the_redirect_covers_is_told(serve, tmp_path) -> None:
    """`redirect_https` goes before routes, and a route of that listener alone could never match."""
    _, _, balancer = serve()
    text = balancer.file.read_text().replace('path = "/own"', 'path = "/own"\nlisteners = "plain"')
    balancer.reload(text)
    line = 1 + text.splitlines().index('path = "/own"') - 1
    problem = balancer.log.wait(lambda line: "can never match" in line)
    assert f"evenly.toml:{line}: routes[0]: route 'route-1' can never match: route 'redirect_https:plain'" in problem
