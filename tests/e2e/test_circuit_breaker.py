"""A pool that fails is spared its requests, is tried by a few, and gets all of them again; and it has a limit."""

from ..support.load import Load
from ..support.wire import Peer

BREAKER = 'circuit_breaker = { minimum_requests = 5, base_open_time = "2s", half_open_requests = 2 }'


def transition(serving, to: str, pool: str = "app") -> dict:
    """Waits for the event that the pool's circuit came into a state."""
    return serving.balancer.wait_log("circuit", pool=pool, to=to)


def ask(client, times: int) -> list[int]:
    """The statuses of so many requests."""
    return [client.ask().status for _ in range(times)]


def circuit(serving) -> dict:
    """How the status has it."""
    return serving.balancer.status()["pools"][0]["circuit"]


def test_it_opens_is_tried_and_closes(web, servers) -> None:
    """Each transition is told; while it is open no endpoint is asked, and clients are told when to come back."""
    (server,) = servers("a")
    serving = web(server, top='access_log = "-"', pool=BREAKER)
    client = serving.connect()
    server.fails_every = 1
    assert ask(client, 5) == [503] * 5
    assert transition(serving, "open")["reason"] == "100% of 5 requests failed, for 2 s"
    served = server.served
    answer = client.ask("/spared")
    assert (answer.status, server.served) == (503, served)
    assert answer.one("retry-after") in ("1", "2")
    line = serving.balancer.access(target="/spared")
    assert (line["reason"], line["pool"], line["attempts"]) == ("circuit-open", "app", 0)
    assert serving.balancer.metric("evenly_pool_circuit_rejected_total", pool="app") == 1
    assert serving.balancer.metric("evenly_terminations_total", reason="circuit-open") == 1
    server.fails_every = 0
    assert transition(serving, "half-open")["from"] == "open"
    assert ask(client, 2) == [200, 200]
    assert transition(serving, "closed")["reason"] == "all probes succeeded"
    assert ask(client, 20) == [200] * 20
    metric = serving.balancer.metric
    states = ("closed", "half-open", "open")
    assert [metric("evenly_pool_circuit_state", pool="app", state=state) for state in states] == [1, 0, 0]
    assert [metric("evenly_pool_circuit_transitions_total", pool="app", state=state) for state in states] == [1, 1, 1]
    assert circuit(serving)["state"] == "closed"


def test_a_probe_that_fails_opens_it_for_twice_as_long(web, servers) -> None:
    """And only so many are let through as it says, however many ask."""
    (server,) = servers("a")
    serving = web(server, pool=BREAKER)
    server.fails_every = 1
    ask(serving.connect(), 5)
    transition(serving, "open")
    served = server.served
    with Load(serving.port, connections=4):
        again = serving.balancer.wait_log("circuit", reason="a probe failed, for 4 s")
    assert again["from"] == "half-open"
    assert 1 <= server.served - served <= 2
    status = circuit(serving)
    assert (status["state"], status["reason"]) == ("open", "a probe failed, for 4 s")
    assert 0 < status["open_for"] <= 4


def test_what_a_retry_makes_good_is_no_failure(web, servers) -> None:
    """The circuit is about what clients get; one bad endpoint is for outlier detection to find."""
    good, bad = servers("a", "b")
    bad.fails_every = 1
    pool = f'{BREAKER}\nretry = {{ on = ["5xx"] }}\nretry_budget = {{ min_per_second = 1000 }}'
    serving = web(good, bad, pool=pool)
    assert ask(serving.connect(), 40) == [200] * 40
    serving.balancer.until(lambda: circuit(serving)["requests"] == 40)
    assert (circuit(serving)["state"], circuit(serving)["failed"]) == ("closed", 0)


def test_its_limit(web, endpoint) -> None:
    """Above it requests are refused with a reason of their own; with a queue they wait for their turn."""
    limit = "circuit_breaker = { max_requests = 1 }"
    serving = web(endpoint, top='access_log = "-"', pool=limit)
    first = serving.connect()
    first.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
    peer = endpoint.accept()
    peer.read_request()
    answer = serving.connect().ask("/second")
    assert (answer.status, answer.one("retry-after")) == (503, "1")
    assert serving.balancer.access(target="/second")["reason"] == "pool-full"
    assert serving.balancer.metric("evenly_pool_in_flight", pool="app") == 1
    assert (circuit(serving)["in_flight"], circuit(serving)["max_requests"]) == (1, 1)
    serving.balancer.reload(serving.balancer.file.read_text().replace(limit, f'{limit}\nqueue = {{ timeout = "10s" }}'))
    third = serving.connect()
    third.send("GET /third HTTP/1.1\r\nHost: a\r\n\r\n")
    serving.balancer.until(lambda: serving.balancer.metric("evenly_pool_queued") == 1)
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert first.read_response().status == 200
    assert peer.read_request().target == "/third"
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert third.read_response().status == 200
    serving.balancer.until(lambda: serving.balancer.metric("evenly_pool_in_flight", pool="app") == 0)


def test_an_open_circuit_outlives_a_reload_and_ends_with_its_option(web, servers) -> None:
    """The same pool stays spared; without its circuit breaker it is asked again at once."""
    (server,) = servers("a")
    policy = BREAKER.replace("2s", "60s")
    serving = web(server, pool=policy)
    client = serving.connect()
    server.fails_every = 1
    ask(client, 5)
    transition(serving, "open")
    server.fails_every = 0
    text = serving.balancer.file.read_text()
    serving.balancer.reload(text.replace("[pools.app]", '[pools.app]\nbalance = "random"'))
    assert ask(client, 1) == [503]
    serving.balancer.reload(text.replace(policy, ""))
    assert ask(client, 1) == [200]


def test_a_fallback_takes_over_while_it_is_open(web, servers) -> None:
    """Nobody sees an error then."""
    bad, spare = servers("a", "spare")
    bad.fails_every = 1
    routes = f'[pools.spare]\nendpoints = ["{spare}"]\n\n[[routes]]\npool = "app"\n'
    serving = web(bad, pool=f'{BREAKER.replace("2s", "60s")}\nfallback = "spare"', routes=routes)
    client = serving.connect()
    ask(client, 5)
    transition(serving, "open")
    assert [client.ask().text for _ in range(3)] == ["spare"] * 3


def test_connections_that_cannot_be_made_open_it_over_tcp(run, port, endpoint) -> None:
    """While it is open clients are hung up on without anybody being asked; a connection that can be made closes it."""
    bound, dead = port(), port()
    text = (
        f'workers = 1\n[listeners.db]\nbind = "{bound}"\nprotocol = "tcp"\npool = "app"\n'
        f'[pools.app]\nendpoints = ["{dead}"]\n{BREAKER.replace("half_open_requests = 2", "half_open_requests = 1")}\n'
    )
    balancer = run(text)
    for _ in range(5):
        with Peer.connect(bound.address) as client:
            client.expect_cut()
    assert balancer.wait_log("circuit", to="open")["reason"] == "100% of 5 requests failed, for 2 s"
    with Peer.connect(bound.address) as client:
        client.expect_cut()
    assert balancer.metric("evenly_pool_circuit_rejected_total", pool="app") == 1
    assert balancer.metric("evenly_terminations_total", reason="circuit-open") == 1
    balancer.reload(text.replace(str(dead), str(endpoint)))
    balancer.wait_log("circuit", to="half-open")
    with Peer.connect(bound.address) as client:
        endpoint.accept().send("hello")
        assert client.read_exactly(5) == b"hello"
        balancer.wait_log("circuit", to="closed")


def test_a_service_that_is_asked_about_requests_has_one_too(web, servers) -> None:
    """Its own pool's: while that is open nobody is asked, and nobody let in."""
    app, auth = servers("app", "auth")
    auth.fails_every = 1
    routes = f'[pools.auth]\nendpoints = ["{auth}"]\n{BREAKER.replace("2s", "60s")}\n'
    routes += '[[routes]]\npool = "app"\nforward_auth = { pool = "auth", path = "/" }\n'
    serving = web(app, routes=routes)
    client = serving.connect()
    assert ask(client, 5) == [503] * 5
    transition(serving, "open", pool="auth")
    served = auth.served
    assert ask(client, 3) == [503] * 3
    assert (auth.served, app.served) == (served, 0)
    assert serving.balancer.metric("evenly_pool_circuit_rejected_total", pool="auth") == 3


def test_copies_are_not_sent_to_a_pool_whose_circuit_is_open(web, servers) -> None:
    """The client gets its answer all the same."""
    app, shadow = servers("app", "shadow")
    shadow.fails_every = 1
    routes = f'[pools.shadow]\nendpoints = ["{shadow}"]\n{BREAKER.replace("2s", "60s")}\n'
    routes += '[[routes]]\npool = "app"\nmirror = { pool = "shadow" }\n'
    serving = web(app, routes=routes)
    client = serving.connect()
    assert ask(client, 5) == [200] * 5
    transition(serving, "open", pool="shadow")
    served = shadow.served
    assert ask(client, 3) == [200] * 3
    metric = serving.balancer.metric
    serving.balancer.until(lambda: metric("evenly_mirror_requests_total", result="no-endpoint") == 3)
    assert shadow.served == served


def test_a_fallback_also_takes_what_a_half_open_circuit_does_not_let_in(web, servers) -> None:
    """Many ask at the moment when few are let in: the others go to the fallback, and nobody is told of the circuit."""
    bad, spare = servers("a", "spare")
    bad.fails_every = 1
    routes = f'[pools.spare]\nendpoints = ["{spare}"]\n\n[[routes]]\npool = "app"\n'
    policy = BREAKER.replace("2s", "100ms").replace("half_open_requests = 2", "half_open_requests = 1")
    serving = web(bad, pool=f'{policy}\nfallback = "spare"', routes=routes)
    with Load(serving.port, connections=16) as load:
        for _ in range(3):
            after = len(serving.balancer.log.all)
            serving.balancer.wait_log("circuit", after=after, to="half-open")
        assert load.bodies["spare"] > 0
    assert not load.failures
    assert load.answers[503] == bad.served, "the endpoint's own"
    assert serving.balancer.metric("evenly_terminations_total", reason="circuit-open") == 0
