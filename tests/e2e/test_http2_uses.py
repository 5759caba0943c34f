"""What else asks endpoints of HTTP/2 than a request and its answer: hedges, mirrors, and services that decide.

The endpoints' HTTP/2 is that of a second balancer before servers of HTTP/1.1, so that both sides are real.
"""

from collections.abc import Callable

import pytest

from ..support.balancer import Balancer, Web
from ..support.load import Load
from ..support.ports import Port
from ..support.server import Server

H2 = 'protocol = "h2"'


@pytest.fixture
def behind(run: Callable[..., Balancer], port: Callable[..., Port]) -> Callable[..., list[Port]]:
    """Puts HTTP/2 before servers: an address for each of them."""

    def start(*servers: Server) -> list[Port]:
        ports = [port() for _ in servers]
        parts = [
            f'[listeners.l{number}]\nbind = "{bound}"\n[pools.p{number}]\nendpoints = ["{server}"]\n'
            f'[[routes]]\nlisteners = ["l{number}"]\npool = "p{number}"\n'
            for number, (bound, server) in enumerate(zip(ports, servers, strict=True))
        ]
        run("workers = 1\n" + "".join(parts))
        return ports

    return start


def test_a_hedge_wins_and_the_loser_is_reset(web, servers, behind) -> None:
    """Both tries are streams; the one that lost ends alone, and its connection serves on."""
    stuck, other = servers("stuck", "other")
    first, second = behind(stuck, other)
    serving: Web = web(
        f'{{ address = "{first}", weight = 65535 }}', second, top='access_log = "-"', pool=f"{H2}\nhedge = true"
    )
    with Load(serving.port, connections=1) as load:
        load.wait_for(200)
    load.assert_clean()
    stuck.paused = True
    client = serving.connect()
    assert client.ask("/it").text == "other"
    line = serving.balancer.access(target="/it")
    assert (line["hedge"], line["status"], line["endpoint"]) == ("won", 200, str(second))
    serving.balancer.until(lambda: stuck.given_up == 1)
    stuck.paused = False
    connections = serving.balancer.metric("evenly_upstream_connections_total", reused="false")
    served = stuck.served
    serving.balancer.until(lambda: client.ask("/more").status == 200 and stuck.served > served)
    assert serving.balancer.metric("evenly_upstream_connections_total", reused="false") == connections


def test_copies_with_bodies_arrive_whole(web, servers, behind) -> None:
    """A mirror's pool may speak HTTP/2 as well; its answers are compared like any other's."""
    app, shadow = servers("same", "same")
    (copies,) = behind(shadow)
    mirror = 'mirror = { pool = "shadow", compare = true }'
    routes = f'[pools.shadow]\nendpoints = ["{copies}"]\n{H2}\n[[routes]]\npool = "app"\n{mirror}\n'
    serving: Web = web(app, routes=routes)
    client = serving.connect()
    for body in (b"", b"small", bytes(60_000)):
        head = f"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        client.send(head.encode() + body)
        assert client.read_response().body == body
    compared = "evenly_mirror_comparisons_total"
    serving.balancer.until(lambda: serving.balancer.metric(compared, result="same") == 3)
    assert serving.balancer.metric("evenly_mirror_requests_total", result="answered") == 3


def test_a_service_that_decides(web, servers, behind) -> None:
    """Forward-auth asks over a shared connection: what the service refuses does not reach the endpoint."""
    app, service = servers("app", "service")
    (asked,) = behind(service)
    routes = "".join(
        f'[[routes]]\npath = "{path}"\npool = "app"\nforward_auth = {{ pool = "auth", path = "{at}" }}\n'
        for path, at in (("/open", "/status/200"), ("/shut", "/status/403"))
    )
    serving: Web = web(app, routes=f'[pools.auth]\nendpoints = ["{asked}"]\n{H2}\n{routes}')
    client = serving.connect()
    for _ in range(3):
        assert (client.ask("/open").status, client.ask("/shut").status) == (200, 403)
    assert (app.served, service.served) == (3, 6)
    new = "evenly_upstream_connections_total"
    assert serving.balancer.metric(new, pool="auth", reused="false") == 1
