"""A pool without an endpoint that can be picked hands its requests to its fallback, and takes them back."""

import pytest

from ..support.balancer import Web, configuration
from ..support.wire import Peer


def with_fallback(bind: object, first: object, other: object, listener: str = "") -> str:
    """Pool `app` falls back to `other`."""
    text = configuration(first, bind=bind, top='access_log = "-"', listener=listener, pool='fallback = "other"')
    routes = "" if "tcp" in listener else '[[routes]]\npool = "app"\n'
    return f'{text}\n[pools.other]\nendpoints = ["{other}"]\n{routes}'


def test_requests_go_to_the_fallback_and_back(servers, run, port) -> None:
    """They are logged and counted where they went."""
    backends = servers("app", "other")
    bound = port()
    balancer = run(with_fallback(bound, *backends))
    web = Web(balancer, bound)
    client = web.connect()
    assert client.ask("/before").text == "app"
    balancer.set_endpoint(backends[0], state="draining")
    assert client.ask("/meanwhile").text == "other"
    assert balancer.access(target="/meanwhile")["pool"] == "other"
    assert balancer.metric("evenly_pool_fallbacks_total", pool="app") == 1
    assert balancer.status()["pools"][0]["fallback"] == "other"
    balancer.set_endpoint(backends[0], state="ready")
    assert client.ask("/after").text == "app"
    web.hang_up()


def test_with_both_down_the_reason_is_the_first_pools(servers, run, port) -> None:
    """The client is told why the pool that its route names cannot serve."""
    backends = servers("app", "other")
    bound = port()
    balancer = run(with_fallback(bound, *backends))
    balancer.set_endpoint(backends[0], state="maintenance")
    balancer.set_endpoint(backends[1], pool="other", state="draining")
    web = Web(balancer, bound)
    assert web.connect().ask("/none").status == 503
    entry = balancer.access(target="/none")
    assert (entry["pool"], entry["reason"]) == ("app", "no-endpoint-maintenance")
    web.hang_up()


def test_streams_fall_back_as_well(servers, run, port) -> None:
    """A TCP connection takes the same way."""
    backends = servers("app", "other")
    bound = port()
    balancer = run(with_fallback(bound, *backends, listener='protocol = "tcp"\npool = "app"'))
    balancer.set_endpoint(backends[0], state="draining")
    client = Peer.connect(bound.address)
    assert client.ask("/").text == "other"
    client.close()


@pytest.mark.parametrize("fallback", ["app", "other"])
def test_a_circle_is_refused(servers, run, port, fallback: str) -> None:
    """A chain of fallbacks ends somewhere."""
    backends = servers("app", "other")
    bound = port()
    balancer = run(with_fallback(bound, *backends))
    text = balancer.file.read_text().replace(
        f'endpoints = ["{backends[1]}"]', f'endpoints = ["{backends[1]}"]\nfallback = "app"'
    )
    if fallback == "app":
        text = balancer.file.read_text().replace('fallback = "other"', 'fallback = "app"')
    balancer.file.write_text(text)
    answer = balancer.admin.post("/api/reload")
    assert answer.status_code == 422
    assert "leads back to this pool" in answer.json()["detail"]


LIMITS = ["circuit_breaker = { max_requests = 1 }", "adaptive_concurrency = { min_limit = 1, max_limit = 1 }", ""]


@pytest.mark.parametrize("limit", LIMITS)
def test_a_full_pool_hands_over(servers, run, port, limit: str) -> None:
    """Whether the pool or its endpoints have no room; and takes requests again when one has ended."""
    backends = servers("app", "other")
    bound = port()
    first = backends[0] if limit else f'{{ address = "{backends[0]}", max_connections = 1 }}'
    text = with_fallback(bound, first, backends[1])
    balancer = run(text.replace('fallback = "other"', f'fallback = "other"\n{limit}'))
    web = Web(balancer, bound)
    busy, client = web.connect(), web.connect()
    busy.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    balancer.until(lambda: backends[0].requests["/hold"])
    assert client.ask("/meanwhile").text == "other"
    assert balancer.access(target="/meanwhile")["pool"] == "other"
    backends.release()
    assert busy.read_response().text == "app"
    assert client.ask("/after").text == "app"
    web.hang_up()


def test_a_full_pool_with_a_queue_keeps_its_requests(servers, run, port) -> None:
    """Who asks for a queue wants them to wait there."""
    backends = servers("app", "other")
    bound = port()
    limit = 'circuit_breaker = { max_requests = 1 }\nqueue = { size = 10, timeout = "30s" }'
    balancer = run(with_fallback(bound, *backends).replace('fallback = "other"', f'fallback = "other"\n{limit}'))
    web = Web(balancer, bound)
    busy, client = web.connect(), web.connect()
    busy.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    balancer.until(lambda: backends[0].requests["/hold"])
    client.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n")
    balancer.until(lambda: balancer.metric("evenly_pool_queued", pool="app") == 1)
    backends.release()
    assert busy.read_response().text == client.read_response().text == "app"
    web.hang_up()
