"""Health checks take endpoints out and in again, and what happens when few or none are left is stated."""

from collections import Counter

import pytest

from ..support.endpoint import Endpoint

QUICK = (
    'health_check = { type = "http", path = "/healthz", interval = "100ms", unhealthy_interval = "60ms", '
    'timeout = "5s", unhealthy_after = 2, healthy_after = 2 }'
)
QUICK_TCP = QUICK.replace('type = "http", path = "/healthz"', 'type = "tcp"')


def until_state(serving, address, state: str, after: int = 0) -> dict:
    """Waits for the event that an endpoint has this state now."""
    return serving.balancer.wait_log("endpoint", after, endpoint=str(address), to=state)


def test_out_and_in_again(web, servers) -> None:
    """Failing checks take an endpoint out, passing ones take it in; log, status and metric agree."""
    backends = servers("a", "b")
    serving = web(*backends, pool=QUICK)
    until_state(serving, backends[0], "healthy")
    until_state(serving, backends[1], "healthy")
    seen = len(serving.balancer.log.all)
    backends[0].healthy = False
    event = until_state(serving, backends[0], "unhealthy", seen)
    assert "503" in event["reason"]
    status = serving.balancer.endpoint(backends[0])
    assert (status["state"], "503" in status["reason"]) == ("unhealthy", True)
    labels = {"pool": "app", "endpoint": str(backends[0])}
    serving.balancer.until(lambda: serving.balancer.metric("evenly_endpoint_up", **labels) == 0)
    client = serving.connect()
    assert Counter(client.ask().text for _ in range(20)) == {"b": 20}
    seen = len(serving.balancer.log.all)
    backends[0].healthy = True
    until_state(serving, backends[0], "healthy", seen)
    assert Counter(client.ask().text for _ in range(20)) == {"a": 10, "b": 10}


def test_rise_and_fall(web, endpoint) -> None:
    """One failure among successes changes nothing; `unhealthy_after` in a row do."""
    serving = web(endpoint, pool=QUICK)

    def check(status: int) -> None:
        peer, _ = endpoint.serve(f"HTTP/1.1 {status} -\r\nContent-Length: 0\r\n\r\n")
        peer.close()

    for status in (200, 200, 500, 200, 500, 200, 200):
        check(status)
    assert serving.balancer.endpoint(endpoint)["state"] == "healthy"
    check(500)
    check(500)
    until_state(serving, endpoint, "unhealthy")
    check(200)
    assert serving.balancer.endpoint(endpoint)["state"] == "unhealthy"
    seen = len(serving.balancer.log.all)
    check(200)
    until_state(serving, endpoint, "healthy", seen - 1)


def test_connections_are_used_again_while_the_endpoint_is_healthy(web, endpoint) -> None:
    """Checks share a connection once the endpoint is healthy; one that it closes in between is no failure, and after a
    failure there is a new one for each check."""
    serving = web(endpoint, pool=QUICK)
    answer = "HTTP/1.1 {} -\r\nContent-Length: 0\r\n\r\n"
    for _ in range(2):
        peer, request = endpoint.serve(answer.format(200))
        assert request.one("Connection") == "keep-alive"
        peer.close()
    until_state(serving, endpoint, "healthy")
    peer, _ = endpoint.serve(answer.format(200))
    for _ in range(5):
        assert peer.read_head().target == "/healthz"
        peer.send(answer.format(200))
    # Closed while it rests: the next check makes a new one, and passes.
    peer.close()
    peer, _ = endpoint.serve(answer.format(200))
    # Closed under the request: that check is made once more at once.
    peer.read_head()
    peer.close()
    peer, _ = endpoint.serve(answer.format(200))
    labels = {"pool": "app", "endpoint": str(endpoint), "result": "failed"}
    assert serving.balancer.metric("evenly_endpoint_health_checks_total", **labels) == 0
    # A failure ends it.
    peer.read_head()
    peer.send(answer.format(500))
    peer.expect_cut()
    for _ in range(2):
        endpoint.serve(answer.format(500))[0].close()
    until_state(serving, endpoint, "unhealthy")


@pytest.mark.parametrize(
    "pool",
    [f"{QUICK}\nkeepalive = {{ max_idle = 0 }}", QUICK.replace(" }", ", reuse_connection = false }")],
    ids=["no-keepalive", "no-reuse"],
)
def test_an_endpoint_that_is_to_keep_no_connections_keeps_none_of_checks(web, endpoint, pool) -> None:
    """Without connections kept for requests, none are kept for checks either; and none where that is turned off."""
    web(endpoint, pool=pool)
    for _ in range(4):
        peer, request = endpoint.serve("HTTP/1.1 200 -\r\nContent-Length: 0\r\n\r\n")
        assert request.one("Connection") == "close"
        peer.expect_cut()


def test_expected_body(web, endpoint) -> None:
    """A check can ask for a text in the body."""
    pool = QUICK.replace("interval =", 'expected_body = "fine", interval =', 1)
    serving = web(endpoint, pool=pool)
    for _ in range(2):
        endpoint.serve("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nnot well")[0].close()
    assert "text" in until_state(serving, endpoint, "unhealthy")["reason"]
    for _ in range(2):
        endpoint.serve("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfine here")[0].close()
    until_state(serving, endpoint, "healthy")


def test_the_check_itself(web, endpoint) -> None:
    """Method, path, host and a way to tell checks from clients."""
    pool = QUICK.replace("interval =", 'method = "HEAD", host = "check.example", interval =', 1)
    web(endpoint, pool=pool)
    request = endpoint.accept().read_head()
    assert request.first == "HEAD /healthz HTTP/1.1"
    assert request.one("Host") == "check.example"
    assert "evenly" in (request.one("User-Agent") or "").lower()


def test_tcp_check(web, endpoint) -> None:
    """Send and expect."""
    pool = QUICK_TCP.replace("interval =", 'send = "PING\\r\\n", expect = "+PONG", interval =', 1)
    serving = web(endpoint, pool=pool)
    for _ in range(2):
        peer = endpoint.accept()
        assert peer.read_until(b"\r\n") == b"PING\r\n"
        peer.send("+PONG\r\n")
        peer.close()
    until_state(serving, endpoint, "healthy")


def test_all_down(web, servers) -> None:
    """Nobody left: 503 with when to come back, and the reason in the log."""
    backends = servers("a", "b")
    for each in backends:
        each.healthy = False
    serving = web(*backends, top='access_log = "-"', pool=QUICK)
    for each in backends:
        until_state(serving, each, "unhealthy")
    response = serving.connect().ask("/down")
    assert response.status == 503
    assert int(response.one("Retry-After")) > 0
    assert serving.balancer.access(target="/down")["reason"] == "no-endpoint-unhealthy"


def test_panic_threshold(web, servers) -> None:
    """Below the threshold checks are not believed, and everyone gets traffic."""
    backends = servers("a", "b", "c")
    serving = web(*backends, pool=QUICK + '\npanic_threshold = "60%"')
    for each in backends:
        until_state(serving, each, "healthy")
    backends[0].healthy = backends[1].healthy = False
    for each in list(backends)[:2]:
        until_state(serving, each, "unhealthy")
    client = serving.connect()
    assert {client.ask().text for _ in range(30)} == {"a", "b", "c"}
    assert serving.balancer.status()["pools"][0]["serving"] == "panic"
    assert serving.balancer.metric("evenly_pool_serving", pool="app", tier="panic") == 1
    # Maintenance is an operator's word and holds in a panic too; of the two that are left, one is healthy.
    serving.balancer.set_endpoint(backends[0], state="maintenance")
    assert {client.ask().text for _ in range(30)} == {"b", "c"}


def test_backup(web, servers) -> None:
    """A backup serves only while nobody else can."""
    main, spare = servers("main", "spare")
    serving = web(main, f'{{ address = "{spare}", backup = true }}', pool=QUICK)
    until_state(serving, main, "healthy")
    until_state(serving, spare, "healthy")
    client = serving.connect()
    assert {client.ask().text for _ in range(10)} == {"main"}
    seen = len(serving.balancer.log.all)
    main.healthy = False
    until_state(serving, main, "unhealthy", seen)
    assert {client.ask().text for _ in range(10)} == {"spare"}
    seen = len(serving.balancer.log.all)
    main.healthy = True
    until_state(serving, main, "healthy", seen)
    assert {client.ask().text for _ in range(10)} == {"main"}


def test_requests_survive_their_endpoint_s_fall(web, servers) -> None:
    """Taking an endpoint out does not cut what is under way on it."""
    backends = servers("a")
    serving = web(*backends, pool=QUICK)
    until_state(serving, backends[0], "healthy")
    client = serving.connect()
    client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    serving.balancer.until(lambda: backends[0].requests["/hold"])
    backends[0].healthy = False
    until_state(serving, backends[0], "unhealthy")
    backends.release()
    assert client.read_response().status == 200


def test_check_on_another_port(web, endpoint) -> None:
    """The check may knock at another port of the endpoint."""
    with Endpoint() as checked:
        pool = QUICK.replace("interval =", f"port = {checked.port}, interval =", 1)
        serving = web(endpoint, pool=pool)
        for _ in range(2):
            checked.serve()[0].close()
        until_state(serving, endpoint, "healthy")
