"""A route copies requests to a second pool; the client notices nothing of it, whatever becomes of the copies."""

import pytest

from ..support.balancer import Balancer, Web, configuration
from ..support.endpoint import Endpoint

LARGE = 200_000


@pytest.fixture
def mirrored(run, port):
    """Starts a balancer whose route copies from `app` to `shadow`: `mirrored(app, shadow, 'compare = true')`."""
    webs = []

    def start(app: object, shadow: object, options: str = "compare = true", extra: str = "") -> Web:
        bound = port()
        mirror = f'{{ pool = "shadow", {options} }}'
        routes = f'[pools.shadow]\nendpoints = ["{shadow}"]\n[[routes]]\npool = "app"\nmirror = {mirror}\n{extra}'
        webs.append(Web(run(configuration(app, bind=bound, routes=routes)), bound))
        return webs[-1]

    yield start
    for web in webs:
        web.hang_up()


def result(balancer: Balancer, name: str) -> float:
    """How many copies ended so."""
    return balancer.metric("evenly_mirror_requests_total", result=name)


def compared(balancer: Balancer, name: str) -> float:
    """How many comparisons ended so."""
    return balancer.metric("evenly_mirror_comparisons_total", result=name)


def test_copies_go_by_the_key_of_their_own_pool(web, servers) -> None:
    """A shadow that hashes by path gets each path in one place, however the pool itself is balanced."""
    app, *shadows = servers("app", "one", "two", "three")
    listed = ", ".join(f'"{each}"' for each in shadows)
    routes = (
        f'[pools.shadow]\nendpoints = [{listed}]\nbalance = "maglev"\nhash_key = "path"\n'
        '[[routes]]\npool = "app"\nmirror = { pool = "shadow" }\n'
    )
    serving = web(app, routes=routes)
    client = serving.connect()
    for _ in range(12):
        assert client.ask("/same").text == "app"
    serving.balancer.until(lambda: result(serving.balancer, "answered") == 12)
    assert sorted(each.requests["/same"] for each in shadows) == [0, 0, 12]


def test_copies_arrive_and_the_answer_is_the_pools_own(mirrored, servers) -> None:
    """Same path and method; the body differs, as the servers answer with their names."""
    app, shadow = servers("app", "shadow")
    serving = mirrored(app, shadow)
    client = serving.connect()
    for _ in range(10):
        assert client.ask("/copied?a=1").text == "app"
    serving.balancer.until(lambda: compared(serving.balancer, "length") == 10)
    assert (shadow.requests["/copied"], result(serving.balancer, "answered")) == (10, 10)
    assert serving.balancer.endpoint(shadow, "shadow")["requests"] == 10


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsame",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsame",
            "same",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsame",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nsa\r\n2\r\nme\r\n0\r\n\r\n",
            "same",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsame",
            "HTTP/1.1 500 -\r\nContent-Length: 4\r\n\r\nsame",
            "status",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsame",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsame!",
            "length",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsame",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsome",
            "body",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsame\r\n0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsome",
            "body",
        ),
    ],
)
def test_answers_are_compared(mirrored, endpoint, first: str, second: str, expected: str) -> None:
    """By status, length and contents, whatever the framing."""
    with Endpoint() as shadow:
        serving = mirrored(endpoint, shadow)
        client = serving.connect()
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        endpoint.serve(first)
        assert client.read_response().status == 200
        shadow.serve(second)
        serving.balancer.until(lambda: compared(serving.balancer, expected) == 1)


@pytest.mark.parametrize(
    ("pieces", "copied"),
    [
        (("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",), b"hello"),
        (("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe", "llo"), b"hello"),
        (
            (
                "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                "2\r\nhe\r\n",
                "3\r\nllo\r\n0\r\n\r\n",
            ),
            b"hello",
        ),
        (("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n", "x" * 40_000), b"x" * 40_000),
    ],
)
def test_bodies_are_copied(mirrored, endpoint, pieces: tuple[str, ...], copied: bytes) -> None:
    """Small ones with their head and those that come in pieces, of either framing."""
    with Endpoint() as shadow:
        serving = mirrored(endpoint, shadow)
        client = serving.connect()
        client.send(pieces[0])
        peer = endpoint.accept()
        client.send(*pieces[1:])
        assert peer.read_request().body == copied
        assert shadow.accept().read_request().body == copied
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert client.read_response().status == 200


def test_a_large_body_is_not_copied(mirrored, servers) -> None:
    """It reaches its pool whole; the drop is counted."""
    app, shadow = servers("app", "shadow")
    serving = mirrored(app, shadow, 'body = "16KiB"')
    body = b"x" * LARGE
    assert serving.connect().ask("/echo", method="POST", body=body).body == body
    serving.balancer.until(lambda: result(serving.balancer, "dropped-body") == 1)
    assert shadow.served == 0


def test_large_answers_are_compared_by_status_and_length(mirrored, servers) -> None:
    """The hash stops at the bound, the length does not."""
    app, shadow = servers("app", "shadow")
    serving = mirrored(app, shadow, 'compare = true, body = "1KiB"')
    assert len(serving.connect().ask(f"/bytes/{LARGE}").body) == LARGE
    serving.balancer.until(lambda: compared(serving.balancer, "same") == 1)


def test_a_share(mirrored, servers) -> None:
    """About as many as the share says; the rest is not even drawn."""
    app, shadow = servers("app", "shadow")
    serving = mirrored(app, shadow, 'share = "20%", max_in_flight = 1000')
    client = serving.connect()
    for _ in range(1000):
        client.ask("/")
    serving.balancer.until(lambda: result(serving.balancer, "answered") == shadow.served)
    # Five standard deviations.
    assert 137 <= shadow.served <= 263


def test_a_shadow_that_hangs_holds_nobody_up(mirrored, servers) -> None:
    """Beyond the bound copies are dropped and counted; every client is answered at once."""
    app, shadow = servers("app", "shadow")
    serving = mirrored(app, shadow, "max_in_flight = 2, compare = true")
    with Endpoint() as silent:
        del shadow
        serving = mirrored(app, silent, 'max_in_flight = 2, compare = true, timeout = "1s"')
        client = serving.connect()
        for _ in range(10):
            assert client.ask("/").text == "app"
        assert result(serving.balancer, "dropped-in-flight") == 8
        serving.balancer.until(lambda: result(serving.balancer, "failed") == 2)
        serving.balancer.until(lambda: compared(serving.balancer, "incomplete") == 2)


def test_a_shadow_that_is_down_is_counted(mirrored, servers, endpoint) -> None:
    """Refused connections, and no endpoint to pick."""
    (app,) = servers("app")
    address = str(endpoint)
    endpoint.close()
    serving = mirrored(app, address, "compare = false")
    client = serving.connect()
    assert client.ask("/").text == "app"
    serving.balancer.until(lambda: result(serving.balancer, "failed") == 1)
    serving.balancer.set_endpoint(address, pool="shadow", state="maintenance")
    assert client.ask("/").text == "app"
    serving.balancer.until(lambda: result(serving.balancer, "no-endpoint") == 1)
