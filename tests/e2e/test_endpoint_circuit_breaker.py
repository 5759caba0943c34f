"""One endpoint that fails is spared its requests, is tried by a few, and gets all of them again; and it has limits."""

from collections import Counter

import pytest

from ..support.wire import Peer

BREAKER = 'endpoint_circuit_breaker = { minimum_requests = 5, base_open_time = "2s", half_open_requests = 2 }'


def transition(serving, address, to: str) -> dict:
    """Waits for the event that an endpoint's circuit came into a state."""
    return serving.balancer.wait_log("circuit", endpoint=str(address), to=to)


def circuit(serving, address) -> dict:
    """How the status has an endpoint's circuit."""
    return serving.balancer.endpoint(address)["circuit"]


def ask(client, times: int) -> Counter[int]:
    """The statuses of so many requests."""
    return Counter(client.ask().status for _ in range(times))


def test_it_opens_is_tried_and_closes(web, servers) -> None:
    """By as many as it says; others serve meanwhile, and each transition is told."""
    good, bad = backends = servers("good", "bad")
    serving = web(good, bad, pool=BREAKER)
    client = serving.connect()
    bad.fails_every = 1
    assert ask(client, 10) == {200: 5, 503: 5}
    event = transition(serving, bad, "open")
    assert (event["pool"], event["from"], event["reason"]) == ("app", "closed", "100% of 5 requests failed, for 2 s")
    bad.fails_every = 0
    transition(serving, bad, "half-open")
    served = bad.served
    held = [serving.connect() for _ in range(4)]
    for each in held:
        each.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    serving.balancer.until(lambda: bad.requests["/hold"] == 2)
    assert ask(client, 10) == {200: 10}
    assert bad.served == served + 2, "as many as it says, and no more before they have ended"
    backends.release()
    assert [each.read_response().status for each in held] == [200] * 4
    assert transition(serving, bad, "closed")["reason"] == "all probes succeeded"
    assert ask(client, 10) == {200: 10}
    assert bad.served == served + 7
    labels, metric = {"pool": "app", "endpoint": str(bad)}, serving.balancer.metric
    states = ("closed", "half-open", "open")
    assert [metric("evenly_endpoint_circuit_state", state=state, **labels) for state in states] == [1, 0, 0]
    assert [metric("evenly_endpoint_circuit_transitions_total", state=state, **labels) for state in states] == [1] * 3
    assert metric("evenly_endpoint_circuit_rejected_total", **labels) >= 1


def test_what_a_retry_makes_good_counts_here(web, servers) -> None:
    """No client sees an error, and the endpoint is found out nevertheless; retries do not go to it either."""
    good, bad = servers("good", "bad")
    bad.fails_every = 1
    pool = f'{BREAKER.replace("2s", "60s")}\nretry = {{ on = ["5xx"] }}\nretry_budget = {{ min_per_second = 1000 }}'
    serving = web(good, bad, pool=pool)
    client = serving.connect()
    assert ask(client, 20) == {200: 20}
    transition(serving, bad, "open")
    served = bad.served
    endpoint = serving.balancer.endpoint(bad)
    assert (endpoint["state"], endpoint["circuit"]["state"]) == ("healthy", "open")
    good.fails_every = 1
    assert ask(client, 10) == {503: 10}, "the good one's own failures go nowhere else"
    assert bad.served == served


def test_a_pool_never_opens_itself_away(web, servers) -> None:
    """The last one that serves stays, whatever it answers; and one that is spared comes back when it is the last."""
    one, other = servers("one", "other")
    one.fails_every = other.fails_every = 1
    serving = web(one, other, pool=BREAKER.replace("2s", "60s").replace("{ ", '{ max_open = "100%", '))
    client = serving.connect()
    ask(client, 20)
    opened = serving.balancer.wait_log("circuit", to="open")["endpoint"]
    left = other if opened == str(one) else one
    spared = one if left is other else other
    served = left.served
    assert ask(client, 20) == {503: 20}
    assert left.served == served + 20
    assert circuit(serving, left)["state"] == "closed"
    spared.fails_every = 0
    serving.balancer.set_endpoint(left, state="maintenance")
    assert ask(client, 5) == {200: 5}
    assert transition(serving, spared, "closed")["reason"] == "no other endpoint is left"


def test_it_outlives_a_reload_and_ends_with_its_option(web, servers) -> None:
    """The endpoint stays spared; without the option it is asked again at once."""
    good, bad = servers("good", "bad")
    policy = BREAKER.replace("2s", "60s")
    serving = web(good, bad, pool=policy)
    client = serving.connect()
    bad.fails_every = 1
    ask(client, 10)
    transition(serving, bad, "open")
    text = serving.balancer.file.read_text()
    serving.balancer.reload(text.replace("[pools.app]", '[pools.app]\nbalance = "random"'))
    assert ask(client, 20) == {200: 20}
    serving.balancer.reload(text.replace(policy, ""))
    assert ask(client, 10) == {200: 5, 503: 5}


def test_clients_that_belong_to_it_move_once(web, servers) -> None:
    """As when it is ejected: they stay where they went."""
    backends = servers("a", "b")
    policy = BREAKER.replace("2s", "60s")
    serving = web(*backends, pool=f'{policy}\naffinity = {{ header = "X-Client" }}')
    client = serving.connect()
    home = client.ask("/", "X-Client: ann").text
    bad = next(server for server in backends if server.name == home)
    bad.fails_every = 1
    assert {client.ask("/", "X-Client: ann").status for _ in range(8)} == {503}
    transition(serving, bad, "open")
    away = client.ask("/", "X-Client: ann").text
    assert away != home
    bad.fails_every = 0
    serving.balancer.reload(serving.balancer.file.read_text().replace(policy, ""))
    assert {client.ask().text for _ in range(4)} == {home, away}
    assert {client.ask("/", "X-Client: ann").text for _ in range(5)} == {away}


@pytest.mark.parametrize("limit", ["max_requests", "max_pending"])
def test_its_limits(web, endpoint, limit) -> None:
    """Where all endpoints are full the request is refused, as at `max_connections`; who has failed makes room."""
    limited = f"endpoint_circuit_breaker = {{ {limit} = 1 }}\nretry = {{ attempts = 1 }}\ntls = {{}}"
    serving = web(endpoint, top='access_log = "-"', pool=limited)
    first, second = serving.connect(), serving.connect()
    first.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
    # It takes the connection, and never answers the handshake.
    peer = endpoint.accept()
    assert second.ask("/second").status == 503
    assert serving.balancer.access(target="/second")["reason"] == "no-endpoint-full"
    labels = {"pool": "app", "endpoint": str(endpoint)}
    assert serving.balancer.metric("evenly_endpoint_circuit_rejected_total", **labels) >= 1
    peer.close()
    assert first.read_response().status == 502
    second.send("GET /third HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.accept().close()
    assert second.read_response().status == 502


def test_who_is_connected_waits_no_longer(web, endpoint) -> None:
    """`max_pending` is about connections that are being made, not about requests that are being answered."""
    serving = web(endpoint, pool="endpoint_circuit_breaker = { max_pending = 1 }")
    clients = [serving.connect() for _ in range(3)]
    peers = []
    for client in clients:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        peers.append(endpoint.accept())
        peers[-1].read_request()
    for client, peer in zip(clients, peers, strict=True):
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert client.read_response().status == 200


def test_connections_that_cannot_be_made_open_it_over_tcp(run, port, endpoint) -> None:
    """Then nobody is sent there first."""
    bound, dead = port(), port()
    balancer = run(
        f'workers = 1\n[listeners.db]\nbind = "{bound}"\nprotocol = "tcp"\npool = "app"\n'
        f'[pools.app]\nendpoints = ["{dead}", "{endpoint}"]\n{BREAKER.replace("2s", "60s")}\n'
    )

    def reach() -> None:
        with Peer.connect(bound.address) as client:
            endpoint.accept().send("hello")
            assert client.read_exactly(5) == b"hello"

    while balancer.endpoint(dead)["failures"] < 5:
        reach()
    assert balancer.wait_log("circuit", endpoint=str(dead), to="open")["reason"].startswith("100% of 5 requests failed")
    for _ in range(5):
        reach()
    assert balancer.endpoint(dead)["failures"] == 5
