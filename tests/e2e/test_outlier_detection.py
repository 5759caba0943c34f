"""Endpoints that fail or cannot be reached lose their traffic, get it back bit by bit, and it is told why."""

from collections import Counter

import pytest

from ..support.endpoint import Endpoint
from ..support.load import Load

POLICY = 'outlier_detection = { interval = "500ms", base_ejection_time = "60s", success_rate_request_volume = 20 }'


def ejection(serving, address) -> dict:
    """Waits for the event that live traffic took an endpoint out."""
    return serving.balancer.wait_log("endpoint", endpoint=str(address), to="ejected")


def test_one_of_five_that_fails_half_of_its_requests_is_ejected(web, servers) -> None:
    """No client sees an error once it is, and log, status and metrics say why."""
    backends = servers("a", "b", "c", "d", "e")
    serving = web(*backends, pool=POLICY)
    with Load(serving.port, connections=4) as load:
        backends[2].fails_every = 2
        event = ejection(serving, backends[2])
        assert event["reason"].startswith("success rate 5"), event
        assert event["reason"].endswith(", for 60 s")
        load.wait_for(50)
        failed = load.answers[503]
        load.wait_for(2_000)
        assert load.answers[503] == failed > 0
        assert not load.failures
    status = serving.balancer.endpoint(backends[2])
    assert (status["state"], "success rate" in status["reason"]) == ("ejected", True)
    labels = {"pool": "app", "endpoint": str(backends[2])}
    assert serving.balancer.metric("evenly_endpoint_up", **labels) == 0
    assert serving.balancer.metric("evenly_endpoint_ejections_total", reason="success-rate", **labels) == 1


def test_an_endpoint_that_refuses_connections_is_ejected(web, servers) -> None:
    """It is not even tried any more."""
    backends = servers("a", "b")
    with Endpoint() as gone:
        address = str(gone)
    serving = web(*backends, address, pool=POLICY)
    client = serving.connect()
    assert Counter(client.ask().text for _ in range(40)).keys() == {"a", "b"}
    event = ejection(serving, address)
    assert event["reason"] == "5 consecutive connect failures, resets or timeouts, for 60 s"
    failures = serving.balancer.endpoint(address)["failures"]
    assert Counter(client.ask().text for _ in range(40)) == {"a": 20, "b": 20}
    assert serving.balancer.endpoint(address)["failures"] == failures


def test_probation_and_return(web, servers) -> None:
    """After its time an endpoint gets a tenth of its traffic, and then all of it."""
    backends = servers("a", "b")
    serving = web(*backends, pool='outlier_detection = { base_ejection_time = "1s", probation = "400ms" }')
    backends[0].fails_every = 1
    client = serving.connect()
    for _ in range(20):
        client.ask()
    ejection(serving, backends[0])
    backends[0].fails_every = 0
    serving.balancer.wait_log("endpoint", endpoint=str(backends[0]), to="probation")
    serving.balancer.wait_log("endpoint", endpoint=str(backends[0]), to="healthy")
    assert Counter(client.ask().text for _ in range(20)) == {"a": 10, "b": 10}
    assert serving.balancer.endpoint(backends[0])["reason"] == ""


def test_an_ejection_outlives_a_reload_and_ends_with_its_option(web, servers) -> None:
    """The same endpoint stays out; without outlier detection nobody does."""
    backends = servers("a", "b")
    backends[0].fails_every = 1
    serving = web(*backends, pool=POLICY)
    client = serving.connect()
    for _ in range(20):
        client.ask()
    ejection(serving, backends[0])
    text = serving.balancer.file.read_text()
    serving.balancer.reload(text.replace("[pools.app]", '[pools.app]\nbalance = "random"'))
    assert serving.balancer.endpoint(backends[0])["state"] == "ejected"
    serving.balancer.reload(text.replace(POLICY, ""))
    serving.balancer.wait_log("endpoint", endpoint=str(backends[0]), to="healthy")
    assert serving.balancer.endpoint(backends[0])["state"] == "healthy"


@pytest.mark.parametrize("balance", ["round-robin", "least-requests", "two-choices", "peak-ewma"])
def test_slow_start(web, servers, balance: str) -> None:
    """An endpoint that comes back gets a tenth at first, with every balancer that knows weights."""
    backends = servers("a", "b")
    serving = web(*backends, pool=f'balance = "{balance}"\nslow_start = "1h"')
    serving.balancer.set_endpoint(backends[0], state="maintenance")
    serving.balancer.until(lambda: serving.balancer.endpoint(backends[0])["share"] < 100)
    serving.balancer.set_endpoint(backends[0], state="ready")
    status = serving.balancer.endpoint(backends[0])
    assert (status["share"], status["reason"]) == (9, "slow start")
    client = serving.connect()
    shares = Counter(client.ask().text for _ in range(300))
    assert 0 < shares["a"] < 100, shares


def test_no_endpoint_gets_more_than_its_connections(web, endpoint, servers) -> None:
    """What is above goes to the others; with none left it is 503 with a reason of its own."""
    (other,) = servers("b")
    limited = f'{{ address = "{endpoint}", max_connections = 1 }}'
    serving = web(limited, other, top='access_log = "-"')
    held = serving.connect()
    held.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    if not endpoint.is_asked(within=1):
        held.read_response()
        held.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    endpoint.accept().read_request()
    client = serving.connect()
    assert Counter(client.ask().text for _ in range(10)) == {"b": 10}
    serving.balancer.reload(serving.balancer.file.read_text().replace(f', "{other}"', ""))
    answer = client.ask()
    assert (answer.status, answer.one("retry-after")) == (503, "1")
    assert serving.balancer.access(status=503)["reason"] == "no-endpoint-full"


def test_an_upgrade_is_an_answer(web, endpoint) -> None:
    """101 ends a run of failures as 200 does: else a pool of WebSockets would count failures for ever."""
    policy = "outlier_detection = { consecutive_local_origin_failure = 3, max_ejection_percent = '100%' }"
    with Endpoint() as other:
        # The last one that gets traffic is never ejected: here that is the backup, to which none comes.
        backup = '{ address = "127.0.0.1:1", backup = true }'
        serving = web(endpoint, other, backup, pool=f"{policy}\nretry = {{ attempts = 1 }}")

        def fail(failing: Endpoint, times: int) -> None:
            for _ in range(times):
                client = serving.connect()
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                failing.serve("")[0].close()
                assert client.read_response().status == 502

        serving.balancer.set_endpoint(other, weight=0)
        fail(endpoint, 2)
        client = serving.connect()
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        endpoint.serve("HTTP/1.1 101 -\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        assert client.read_head().status == 101
        fail(endpoint, 1)
        serving.balancer.set_endpoint(other, weight=1)
        serving.balancer.set_endpoint(endpoint, weight=0)
        fail(other, 3)
        ejection(serving, other)
        assert serving.balancer.endpoint(endpoint)["state"] == "healthy"
