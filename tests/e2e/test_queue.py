"""When every endpoint is full, requests wait their turn: bounded in number and time, by priority, for clients only."""

import time

from ..support.balancer import run_verb
from ..support.endpoint import OK, Endpoint
from ..support.wire import Peer


def full(web, endpoint: Endpoint, queue: str, routes: str = ""):
    """A balancer whose only endpoint is busy with one request, which is as many as it may have."""
    one = f'{{ address = "{endpoint}", max_connections = 1 }}'
    serving = web(one, top='access_log = "-"', pool=f"queue = {queue}", routes=routes)
    first = serving.connect()
    first.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
    peer = endpoint.accept()
    assert peer.read_request().target == "/first"
    return serving, first, peer


def ask(serving, target: str) -> Peer:
    """A client that has asked and is in the queue."""
    metric = serving.balancer.metric
    before = metric("evenly_pool_queued")
    client = serving.connect()
    client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
    serving.balancer.until(lambda: metric("evenly_pool_queued") == before + 1)
    return client


def test_a_request_waits_for_its_turn(web, endpoint) -> None:
    """It is sent when the one before it has its answer, and the wait stands in the log."""
    serving, first, peer = full(web, endpoint, '{ timeout = "10s" }')
    second = ask(serving, "/second")
    assert not endpoint.is_asked()
    peer.send(OK)
    assert first.read_response().status == 200
    assert peer.read_request().target == "/second"
    peer.send(OK)
    assert second.read_response().status == 200
    assert serving.balancer.access(target="/second")["queue_ms"] > 0
    assert serving.balancer.metric("evenly_pool_queued") == 0


def test_its_bounds(web, endpoint) -> None:
    """More than fit are refused at once, and who waits too long is told so: 503, each with its reason."""
    serving, first, peer = full(web, endpoint, '{ size = 1, timeout = "2s" }')
    began = time.monotonic()
    second = ask(serving, "/second")
    assert serving.balancer.status()["pools"][0]["queue"]["waiting"] == 1
    assert serving.connect().ask("/third").status == 503
    assert serving.balancer.access(target="/third")["reason"] == "queue-full"
    assert second.read_response().status == 503
    assert time.monotonic() - began > 1.9
    assert serving.balancer.access(target="/second")["reason"] == "queue-timeout"
    assert serving.balancer.metric("evenly_pool_queue_timeouts_total", pool="app") == 1
    assert serving.balancer.metric("evenly_pool_queue_full_total", pool="app") == 1
    told = run_verb("status", "--admin", str(serving.balancer.admin_path)).stdout
    assert "  queue: 0 of 1 wait · 1 waited so far · 1 too long · 1 turned away\n" in told
    peer.send(OK)
    assert first.read_response().status == 200


def test_the_request_s_own_deadline_holds_in_the_queue(web, endpoint) -> None:
    """When it comes before the queue's, the answer is 504 with its reason, and no timeout of the queue is counted."""
    routes = '[[routes]]\npath = "/second"\npool = "app"\ntimeouts = { request = "300ms" }\n[[routes]]\npool = "app"\n'
    serving, first, peer = full(web, endpoint, '{ timeout = "10s" }', routes)
    assert serving.connect().ask("/second").status == 504
    assert serving.balancer.access(target="/second")["reason"] == "request-deadline"
    assert serving.balancer.metric("evenly_pool_queue_timeouts_total", pool="app") == 0
    peer.send(OK)
    assert first.read_response().status == 200


def test_turns_go_by_priority_and_arrival(web, endpoint) -> None:
    """High before normal before low, and the earlier before the later."""
    routes = "".join(
        f'[[routes]]\npath = "/{priority}*"\npool = "app"\npriority = "{priority}"\n' for priority in ("high", "low")
    )
    serving, _, peer = full(web, endpoint, '{ timeout = "30s" }', f'{routes}[[routes]]\npool = "app"\n')
    asked = ["/low1", "/any1", "/high1", "/low2", "/any2", "/high2"]
    clients = [ask(serving, target) for target in asked]
    served = []
    for _ in clients:
        peer.send(OK)
        served.append(peer.read_request().target)
    assert served == ["/high1", "/high2", "/any1", "/any2", "/low1", "/low2"]
    peer.send(OK)
    assert all(client.read_response().status == 200 for client in clients)


def test_who_goes_leaves_the_queue(web, endpoint) -> None:
    """A client that hangs up is not sent to an endpoint when its turn comes."""
    serving, _, peer = full(web, endpoint, '{ timeout = "30s" }')
    second, third = ask(serving, "/second"), ask(serving, "/third")
    second.reset()
    assert serving.balancer.access(target="/second")["reason"] == "client-gone"
    peer.send(OK)
    assert peer.read_request().target == "/third"
    peer.send(OK)
    assert third.read_response().status == 200


def test_workers_share_the_queue(web, endpoint) -> None:
    """Clients of two workers are served in the order in which they came, and together they are bounded by its size."""
    one = f'{{ address = "{endpoint}", max_connections = 1 }}'
    serving = web(one, workers=2, top='access_log = "-"', pool='queue = { size = 20, timeout = "30s" }')
    serving.connect().send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
    peer = endpoint.accept()
    peer.read_request()
    targets = [f"/{number}" for number in range(20)]
    clients = [ask(serving, target) for target in targets]
    assert serving.connect().ask("/beyond").status == 503
    served = []
    for _ in targets:
        # Each worker has connections of its own to the endpoint.
        peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        peer = endpoint.accept()
        served.append(peer.read_request().target)
    assert served == targets
    peer.send(OK)
    assert all(client.read_response().status == 200 for client in clients)
