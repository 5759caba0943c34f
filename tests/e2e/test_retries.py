"""What fails at one endpoint is tried at another: as often as allowed, never what must not be, within a budget."""

import select
import time

import pytest

from ..support.endpoint import OK, Endpoint
from ..support.load import Load
from ..support.wire import Message, Peer

UNAVAILABLE = "HTTP/1.1 503 -\r\nContent-Length: 4\r\n\r\nbusy"
SLICE = 1000


@pytest.fixture
def three():
    """Three endpoints that the test plays."""
    with Endpoint() as a, Endpoint() as b, Endpoint() as c:
        yield a, b, c


def asked(*endpoints: Endpoint) -> tuple[Endpoint, Peer, Message]:
    """The endpoint that is asked next, its connection and the request."""
    ready, _, _ = select.select([each.socket for each in endpoints], [], [], 10)
    assert len(ready) == 1, f"{len(ready)} endpoints were asked"
    endpoint = next(each for each in endpoints if each.socket is ready[0])
    peer = endpoint.accept()
    return endpoint, peer, peer.read_request()


def others(endpoints: tuple[Endpoint, ...], *tried: Endpoint) -> list[Endpoint]:
    """Those that were not tried."""
    return [each for each in endpoints if each not in tried]


def request(method: str, body: bytes = b"") -> bytes:
    """A request with a body."""
    return f"{method} /it HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_a_failing_endpoint_is_hardly_seen(web, servers) -> None:
    """One of five answers 503 to every second request: clients see fewer than one in a thousand of them."""
    running = servers("a", "b", "c", "d", "e")
    running[0].fails_every = 2
    serving = web(*running, pool='retry = { on = ["connect-failure", "reset", "503"] }')
    with Load(serving.port, connections=16) as load:
        load.wait_for(4_000, deadline=60)
    failed = load.count - load.answers[200] + len(load.failures)
    assert failed < load.count / 1000, f"{failed} of {load.count}"
    sent = sum(server.served for server in running)
    assert sent <= 1.2 * load.count, f"{sent} for {load.count}"
    assert running[0].served > load.count / 10, "it was asked all the time"
    retried = serving.balancer.metric("evenly_pool_retries_total", pool="app", reason="status")
    assert retried == sent - load.count


def test_another_endpoint_each_time(web, three) -> None:
    """Each try goes to an endpoint that was not tried; the last one's response is the client's."""
    serving = web(*three, top='access_log = "-"', pool='retry = { attempts = 3, on = ["5xx"] }')
    client = serving.connect()
    client.send("GET /it HTTP/1.1\r\nHost: a\r\n\r\n")
    tried: list[Endpoint] = []
    for _ in range(3):
        endpoint, peer, message = asked(*others(three, *tried))
        assert message.target == "/it"
        peer.send(UNAVAILABLE)
        tried.append(endpoint)
    answer = client.read_response()
    assert (answer.status, answer.body) == (503, b"busy")
    assert serving.balancer.access(target="/it")["attempts"] == 3


def test_a_post_is_sent_once_unless_told(web, three) -> None:
    """POST may have done something: its 503 is the client's, unless the user says otherwise."""
    rule = 'retry = { on = ["503"], non_idempotent = true }'
    routes = f'[[routes]]\npath = "/told"\npool = "app"\n{rule}\n[[routes]]\npool = "app"\n'
    serving = web(*three, pool='retry = { on = ["503"] }', routes=routes)
    client = serving.connect()
    client.send(request("POST", b"pay"))
    first, peer, message = asked(*three)
    assert message.body == b"pay"
    peer.send(UNAVAILABLE)
    assert client.read_response().status == 503
    assert not any(each.is_asked() for each in three)
    client.send(request("POST", b"pay").replace(b"/it", b"/told"))
    first, peer, _ = asked(*others(three, first))
    peer.send(UNAVAILABLE)
    _, peer, message = asked(*three)
    assert (message.target, message.body) == ("/told", b"pay")
    peer.send(OK)
    assert client.read_response().status == 200


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_is_sent_again_up_to_a_bound(web, three, framing) -> None:
    """A body that was streamed through is at hand for another endpoint, as long as it is small enough."""
    retry = 'retry = { on = ["503"], body = "20KiB" }'
    serving = web(*three, pool=f"{retry}\nkeepalive = {{ max_idle = 0 }}")
    for size in (15_000, 30_000):
        body = bytes(index % 251 for index in range(size))
        client = serving.connect()
        length = f"Content-Length: {size}" if framing == "length" else "Transfer-Encoding: chunked"
        client.send(f"PUT /it HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n")
        for start in range(0, size, SLICE):
            piece = body[start : start + SLICE]
            client.send(piece if framing == "length" else b"%x\r\n%s\r\n" % (len(piece), piece))
        client.send("" if framing == "length" else "0\r\n\r\n")
        first, peer, message = asked(*three)
        assert message.body == body
        peer.send(UNAVAILABLE)
        if size < 20 * 1024:
            _, peer, message = asked(*others(three, first))
            assert message.body == body
            peer.send(OK)
        assert client.read_response().status == (200 if size < 20 * 1024 else 503)
        assert not any(each.is_asked() for each in three)


@pytest.mark.parametrize("then", ["stay", "close"])
def test_an_endpoint_that_refuses_before_the_body_is_whole(web, three, then) -> None:
    """It answers 503 to the head alone; the other one gets all of the body, also what came before and after."""
    serving = web(*three, pool='retry = { on = ["503"] }')
    client = serving.connect()
    client.send("PUT /it HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
    ready, _, _ = select.select([each.socket for each in three], [], [], 10)
    first = next(each for each in three if each.socket is ready[0])
    peer = first.accept()
    assert peer.read_head().target == "/it"
    peer.send(UNAVAILABLE)
    if then == "close":
        peer.close()
    second, _, _ = select.select([each.socket for each in others(three, first)], [], [], 10)
    peer = next(each for each in three if each.socket is second[0]).accept()
    client.send("56789")
    assert peer.read_request().body == b"0123456789"
    peer.send(OK)
    assert client.read_response().status == 200
    client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")


def test_a_try_has_its_own_timeout(web, three) -> None:
    """An endpoint that is silent for longer than a try may take is left for another one."""
    pool = 'retry = { on = ["timeout"], try_timeout = "200ms" }'
    serving = web(*three, top='access_log = "-"', pool=pool)
    client = serving.connect()
    client.send("GET /it HTTP/1.1\r\nHost: a\r\n\r\n")
    first, silent, _ = asked(*three)
    began = time.monotonic()
    _, peer, _ = asked(*others(three, first))
    assert time.monotonic() - began < 1
    silent.expect_end()
    peer.send(OK)
    assert client.read_response().status == 200
    assert serving.balancer.access(target="/it")["attempts"] == 2


def test_the_request_has_a_deadline_over_all_tries(web, three) -> None:
    """Tries end when the whole has taken too long: 504, in time."""
    pool = 'timeouts = { request = "500ms" }\nretry = { attempts = 10, on = ["timeout"], try_timeout = "200ms" }'
    serving = web(*three, top='access_log = "-"', pool=pool)
    client = serving.connect()
    began = time.monotonic()
    assert client.ask("/it").status == 504
    assert 0.4 < time.monotonic() - began < 1.5
    line = serving.balancer.access(target="/it")
    assert line["reason"] in ("request-deadline", "response-timeout")
    assert line["attempts"] in (2, 3)


def test_retry_after_is_honoured(web, endpoint) -> None:
    """The only endpoint is asked again after the time it asked for; its response is the client's if that is long."""
    serving = web(endpoint, pool='retry = { on = ["503"] }\ntimeouts = { request = "5s" }')
    client = serving.connect()
    client.send("GET /soon HTTP/1.1\r\nHost: a\r\n\r\n")
    later = UNAVAILABLE.replace("\r\n\r\n", "\r\nRetry-After: 1\r\n\r\n")
    peer, _ = endpoint.serve(later)
    began = time.monotonic()
    assert peer.read_request().target == "/soon", "its connection is in order, so it is used again"
    assert 0.95 < time.monotonic() - began < 3
    peer.send(OK)
    assert client.read_response().status == 200
    client.send("GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
    assert peer.read_request().target == "/never"
    peer.send(later.replace("Retry-After: 1", "Retry-After: 60"))
    answer = client.read_response()
    assert (answer.status, answer.one("Retry-After")) == (503, "60")


def test_the_budget_bounds_them_all(web, servers) -> None:
    """All endpoints fail: requests get their 503, and the endpoints hardly more than the requests there are."""
    running = servers("a", "b", "c")
    for server in running:
        server.fails_every = 1
    pool = 'retry = { attempts = 3, on = ["5xx"] }\nretry_budget = { share = "10%", min_per_second = 0 }'
    serving = web(*running, pool=pool)
    with Load(serving.port, connections=8) as load:
        load.wait_for(2_000, deadline=60)
    assert set(load.answers) == {503}
    sent = sum(server.served for server in running)
    assert 1.05 * load.count < sent <= 1.1 * load.count + 1, f"{sent} for {load.count}"
    assert serving.balancer.metric("evenly_pool_retries_refused_total", pool="app") > load.count / 2


def test_a_stale_connection_needs_the_budget_too(web, endpoint) -> None:
    """Without a budget nothing is sent twice."""
    serving = web(endpoint, pool='retry_budget = { share = "0%", min_per_second = 0 }')
    client = serving.connect()
    client.send("GET /warm HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve()
    client.read_response()
    client.send("GET /race HTTP/1.1\r\nHost: a\r\n\r\n")
    peer.read_request()
    peer.close()
    assert client.read_response().status == 502
    assert not endpoint.is_asked()


def test_a_client_that_goes_is_not_waited_for(web, endpoint) -> None:
    """Who hangs up during the pause costs the endpoint no second request."""
    serving = web(endpoint, top='access_log = "-"', pool='retry = { on = ["503"] }')
    client = serving.connect()
    client.send("GET /it HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve(UNAVAILABLE.replace("\r\n\r\n", "\r\nRetry-After: 2\r\n\r\n"))
    serving.balancer.until(lambda: serving.balancer.metric("evenly_pool_retries_total", reason="status") == 1)
    client.reset()
    assert serving.balancer.access(target="/it")["reason"] == "client-gone"
    peer.close()
    assert not endpoint.is_asked()


def test_off(web, three) -> None:
    """`retry = 1`: the first failure is the answer."""
    serving = web(*three, pool="retry = 1")
    client = serving.connect()
    client.send("GET /it HTTP/1.1\r\nHost: a\r\n\r\n")
    _, peer, _ = asked(*three)
    peer.close()
    assert client.read_response().status == 502
    assert not any(each.is_asked() for each in three)
