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
