"""A service decides on each request: it is asked over a pool, and its answer counts or goes to the client."""

import pytest

from ..support.balancer import Balancer
from ..support.endpoint import Endpoint
from ..support.ports import Port
from ..support.wire import Message, Peer


class Site:
    """A balancer in front of an endpoint and a service, both played by the test."""

    def __init__(
        self, run, bound: Port, app: Endpoint, service: Endpoint, option: str = "", pool: str = "", more: str = ""
    ) -> None:
        self.app, self.service, self.bound = app, service, bound
        parts = f'pool = "auth", path = "/verify?x=1", response_headers = ["X-User", "X-Groups"]{option}'
        self.balancer: Balancer = run(
            f'workers = 1\naccess_log = "-"\n[listeners.web]\nbind = "{bound}"\n'
            f'[pools.app]\nendpoints = ["{app}"]\n[pools.auth]\nendpoints = ["{service}"{more}]\n{pool}\n'
            f'[[routes]]\npool = "app"\nforward_auth = {{ {parts} }}\n'
        )

    def connect(self) -> Peer:
        """A client."""
        return Peer.connect(self.bound.address)


@pytest.fixture
def site(run, port, endpoint):
    with Endpoint() as service:
        yield lambda **parts: Site(run, port(), endpoint, service, **parts)


def test_what_the_service_is_asked_and_what_the_endpoint_is_told(site) -> None:
    """The question has no body; the endpoint gets the service's fields and none that the client made up."""
    web = site()
    with web.connect() as client:
        client.send(
            "POST /a/../cart?id=1 HTTP/1.1\r\nHost: shop\r\nCookie: s=1\r\nAuthorization: Bearer t\r\nX-User: root\r\n"
            "x_groups: admins\r\nX-Other: 1\r\nX-Forwarded-Uri: /fake\r\nX-Forwarded-For: 1.2.3.4\r\n"
            "Content-Length: 4\r\n\r\nbody"
        )
        _, question = web.service.serve(
            "HTTP/1.1 200 OK\r\nX-User: ada\r\nX-Groups: a\r\nX-Groups: b\r\nX-Secret: 1\r\nContent-Length: 2\r\n\r\nok"
        )
        _, request = web.app.serve()
        assert client.read_response().status == 200
    assert question.first == "GET /verify?x=1 HTTP/1.1"
    assert question.one("Host") == str(web.service)
    assert (question.one("Cookie"), question.one("Authorization")) == ("s=1", "Bearer t")
    assert (question.one("X-Forwarded-Method"), question.one("X-Forwarded-Uri")) == ("POST", "/cart?id=1")
    assert (question.one("X-Forwarded-Host"), question.one("X-Forwarded-For")) == ("shop", "127.0.0.1")
    assert [question.one(name) for name in ("Content-Length", "X-Other", "X-User")] == [None, None, None]
    assert (request.text, request.target) == ("body", "/cart?id=1")
    assert (request.all("X-User"), request.all("X-Groups"), request.all("x_groups")) == (["ada"], ["a", "b"], [])
    assert (request.one("X-Secret"), request.one("X-Other")) == (None, "1")
    assert request.one("X-Request-Id") == question.one("X-Request-Id")
    assert web.balancer.metric("evenly_forward_auth_total", result="passed") == 1


def denied(site, answer: str) -> tuple[Site, Message, Message]:
    web = site()
    with web.connect() as client:
        client.send("GET /private HTTP/1.1\r\nHost: a\r\n\r\n")
        _, question = web.service.serve(answer)
        received = client.read_response()
        assert not web.app.is_asked()
        # The connection goes on.
        client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        peer = web.service.accepted[-1]
        peer.read_request()
        peer.send("HTTP/1.1 204 No Content\r\n\r\n")
        web.app.serve()
        assert client.read_response().status == 200
    return web, received, question


def test_a_login_page_reaches_the_client(site) -> None:
    """A redirection with its cookie, as it came but for its framing; the service's connection is used again."""
    web, received, _ = denied(
        site,
        "HTTP/1.1 302 Found\r\nLocation: https://login/?to=x\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nKeep-Alive: x\r\n"
        "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nlogin\r\n0\r\n\r\n",
    )
    assert (received.status, received.text) == (302, "login")
    assert (received.one("Location"), received.all("Set-Cookie")) == ("https://login/?to=x", ["a=1", "b=2"])
    assert (received.one("Content-Length"), received.one("Keep-Alive")) == ("5", None)
    assert web.balancer.access(status=302)["reason"] == "forward-auth-denied"
    assert web.balancer.metric("evenly_forward_auth_total", result="denied") == 1


def test_a_challenge_reaches_the_client(site) -> None:
    """401 with its challenge."""
    _, received, _ = denied(site, 'HTTP/1.1 401 -\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n')
    assert (received.status, received.one("WWW-Authenticate")) == (401, 'Basic realm="x"')


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "garbage\r\n\r\n",
        "HTTP/1.1 403 -\r\nContent-Length: 70000\r\n\r\n" + "x" * 70000,
        "HTTP/1.1 403 -\r\nContent-Length: 9\r\n\r\nx",
    ],
    ids=["closed", "garbage", "large", "truncated"],
)
def test_no_answer_is_a_refusal(site, answer) -> None:
    """What is no whole answer lets nobody in."""
    web = site()
    with web.connect() as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(1 if answer else 2):
            peer, _ = web.service.serve(answer)
            peer.close()
        received = client.read_response()
    assert received.status == 503
    assert web.balancer.access(status=503)["reason"] == "forward-auth-failed"
    assert not web.app.is_asked()


def test_silence_is_a_refusal_after_the_timeout(site) -> None:
    """The service's deadline is its own."""
    web = site(option=', timeout = "200ms"')
    with web.connect() as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        web.service.accept().read_request()
        assert client.read_response().status == 503
    assert web.balancer.metric("evenly_forward_auth_total", result="failed") == 1


def test_on_error_allow(site) -> None:
    """Then a request passes when the service is down, without the client's own fields."""
    web = site(option=', on_error = "allow"')
    web.service.close()
    with web.connect() as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX-User: root\r\n\r\n")
        _, request = web.app.serve()
        assert client.read_response().status == 200
    assert request.all("X-User") == []


def test_a_stale_connection_to_the_service_is_replaced(site) -> None:
    """A kept connection that the service has closed costs nobody an answer."""
    web = site()
    with web.connect() as client:
        for _ in range(3):
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            service, _ = web.service.serve("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            app, _ = web.app.serve()
            assert client.read_response().status == 200
            service.close()
            app.close()


def test_the_service_is_told_whose_connection_it_is(site) -> None:
    """A pool that wants the PROXY protocol gets it for questions too, and a connection serves one client only."""
    web = site(pool='proxy_protocol = "v1"')
    for _ in range(2):
        with web.connect() as client:
            port = client.socket.getsockname()[1]
            for number in range(2):
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                if number == 0:
                    service = web.service.accept()
                    line = service.read_until(b"\r\n").decode()
                    assert line == f"PROXY TCP4 127.0.0.1 127.0.0.1 {port} {web.bound.number}\r\n"
                assert service.read_request().first == "GET /verify?x=1 HTTP/1.1"
                service.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                if number == 0:
                    app, _ = web.app.serve()
                else:
                    app.read_request()
                    app.send("HTTP/1.1 204 No Content\r\n\r\n")
                assert client.read_response().status in {200, 204}
            app.close()


def test_an_endpoint_that_is_not_there_is_passed_over(site, port) -> None:
    """Another one of the service's endpoints is asked, whichever the balancer has chosen first."""
    web = site(more=f', "{port()}"')
    with web.connect() as client:
        for _ in range(4):
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            if not web.service.accepted:
                service = web.service.accept()
                app = None
            service.read_request()
            service.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            app = app or web.app.accept()
            app.read_request()
            app.send("HTTP/1.1 204 No Content\r\n\r\n")
            assert client.read_response().status == 204
    assert web.balancer.metric("evenly_pool_retries_total", pool="auth", reason="connect-failure") > 0


def test_the_pool_s_retry_policy_holds(site) -> None:
    """A status that the pool retries is asked of another endpoint, and judged by outlier detection."""
    pool = 'retry = { on = ["503"] }\noutlier_detection = { consecutive_gateway_failure = 1 }'
    with Endpoint() as other:
        web = site(more=f', "{other}"', pool=pool)
        with web.connect() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            first, second = web.service, other
            if not first.is_asked(0.1) and other.is_asked():
                first, second = other, web.service
            first.serve("HTTP/1.1 503 -\r\nContent-Length: 0\r\n\r\n")
            second.serve("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            web.app.serve()
            assert client.read_response().status == 200
        web.balancer.wait_log("endpoint", endpoint=str(first), to="ejected")
    assert web.balancer.metric("evenly_pool_retries_total", pool="auth", reason="status") == 1


def test_its_pool_may_have_a_fallback(run, port, servers) -> None:
    """Another service is asked while the first one's pool has nobody."""
    app, auth, spare = servers("app", "auth", "spare")
    bound = port()
    balancer = run(
        f'workers = 1\n[listeners.web]\nbind = "{bound}"\n[pools.app]\nendpoints = ["{app}"]\n'
        f'[pools.auth]\nendpoints = ["{auth}"]\nfallback = "spare"\n[pools.spare]\nendpoints = ["{spare}"]\n'
        '[[routes]]\npool = "app"\nforward_auth = { pool = "auth", path = "/verify" }\n'
    )
    with Peer.connect(bound.address) as client:
        assert client.ask().status == 200
        balancer.set_endpoint(auth, pool="auth", state="maintenance")
        assert client.ask().status == 200
    assert (auth.requests["/verify"], spare.requests["/verify"]) == (1, 1)
    assert balancer.metric("evenly_pool_fallbacks_total", pool="auth") == 1
