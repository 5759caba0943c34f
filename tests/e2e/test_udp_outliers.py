"""What happens to datagrams tells of endpoints: outlier detection and the circuit breaker hear of it as over TCP."""

import contextlib
from collections import Counter

import pytest

from ..support.balancer import run_verb
from ..support.datagram import Asker, Echo, free_port

EJECTS = 'outlier_detection = { base_ejection_time = "60s", consecutive_local_origin_failure = 3 }'
"""Three failures in a row, within a sweep; nobody comes back during a test."""


@pytest.fixture
def udp(run):
    """Starts a balancer with one UDP listener in front of endpoints; the balancer and the address."""

    def start(*endpoints: object, listener: str = "", pool: str = ""):
        port = free_port()
        listed = ", ".join(f'"{each}"' for each in endpoints)
        text = (
            f'workers = 1\naccess_log = "-"\n[listeners.dns]\nbind = "127.0.0.1:{port}"\nprotocol = "udp"\n'
            f'pool = "app"\n{listener}\n[pools.app]\nendpoints = [{listed}]\n{pool}\n'
        )
        return run(text), ("127.0.0.1", port)

    return start


@pytest.fixture
def echoes():
    """Starts UDP endpoints: `echoes("a", "b")`."""
    with contextlib.ExitStack() as running:
        yield lambda *names, **options: [running.enter_context(Echo(name, **options)) for name in names]


def ejection(balancer, endpoint: object) -> dict:
    """Waits for the event that live traffic took an endpoint out."""
    return balancer.wait_log("endpoint", endpoint=str(endpoint), to="ejected")


def test_an_endpoint_whose_port_is_closed_is_ejected(udp, echoes) -> None:
    """Its sessions move with their next datagram, new ones never come to it, and it is told why."""
    endpoints = echoes("a", "b")
    balancer, address = udp(*endpoints, pool=EJECTS)
    with contextlib.ExitStack() as open_:
        clients = [open_.enter_context(Asker(address)) for _ in range(12)]
        before = [client.ask() for client in clients]
        assert Counter(before) == {b"a:x": 6, b"b:x": 6}
        endpoints[0].close()
        for client in clients:
            client.send(b"lost or not")
        event = ejection(balancer, endpoints[0])
        assert event["reason"] == "3 consecutive connect failures, resets or timeouts, for 60 s"
        for client, was in zip(clients, before, strict=True):
            if was == b"b:x":
                assert client.receive() == b"b:lost or not"
            else:
                # Its first one may have come while the port was being closed, and have been refused by nobody.
                client.asks_in_vain()
            assert client.ask() == b"b:x"
        for _ in range(6):
            assert open_.enter_context(Asker(address)).ask() == b"b:x"
    status = balancer.endpoint(endpoints[0])
    assert (status["state"], status["failures"]) == ("ejected", 6)
    assert "consecutive connect failures" in status["reason"]
    shown = run_verb("status", "--admin", str(balancer.admin_path)).stdout
    assert "ejected" in shown
    assert "3 consecutive connect failures" in " ".join(shown.split())
    labels = {"pool": "app", "endpoint": str(endpoints[0])}
    assert balancer.metric("evenly_endpoint_failures_total", reason="connect-failed", **labels) == 6
    assert balancer.metric("evenly_endpoint_ejections_total", reason="consecutive-local-origin-failure", **labels) == 1


def test_silence_is_a_failure_where_answers_are_expected(udp, echoes) -> None:
    """With `responses`; though the client goes on asking, so that its session does not end."""
    deaf, other = echoes("deaf", "b", answer=lambda _: [])[0], echoes("b")[0]
    options = 'responses = 1\ntimeouts = { idle = "500ms" }'
    balancer, address = udp(deaf, other, listener=options, pool=f'balance = "round-robin"\n{EJECTS}')
    with contextlib.ExitStack() as open_:
        clients = [open_.enter_context(Asker(address)) for _ in range(6)]
        for client in clients:
            client.send()
        waiting = [client for client in clients if client.asks_in_vain()]
        while not any("ejected" in line for line in balancer.log.all):
            waiting = [client for client in waiting if client.asks_in_vain()]
        assert ejection(balancer, deaf)["reason"].startswith("3 consecutive")
        for client in clients:
            client.socket.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                client.receive()
            client.socket.settimeout(10)
            assert client.ask(b"y").startswith(b"b:")
    labels = {"endpoint": str(deaf), "reason": "response-timeout"}
    assert balancer.metric("evenly_endpoint_failures_total", **labels) >= 3


def test_a_session_without_the_answer_that_it_expects_says_so(udp, echoes) -> None:
    """In the access log, with the reason; one that expects none says nothing."""
    (deaf,) = echoes("deaf", answer=lambda _: [])
    balancer, address = udp(deaf, listener='responses = 1\ntimeouts = { idle = "200ms" }')
    with Asker(address) as client:
        client.send()
        line = balancer.access(listener="dns")
    assert (line["reason"], line["endpoint"]) == ("response-timeout", str(deaf))
    balancer.reload(balancer.file.read_text().replace("responses = 1\n", ""))
    with Asker(address) as client:
        client.send(b"12")
        assert balancer.access(bytes_in=2).get("reason") is None


def test_an_answer_ends_a_run_of_failures(udp, echoes) -> None:
    """Two failures, an answer, and two failures again are no three in a row."""
    (talks,) = echoes("a", answer=lambda data: [data] if data == b"speak" else [])
    options = 'responses = 1\ntimeouts = { idle = "200ms" }'
    other = echoes("b")[0]
    balancer, address = udp(talks, other, listener=options, pool=EJECTS)
    balancer.set_endpoint(other, weight=0)
    failures = {"endpoint": str(talks), "reason": "response-timeout"}
    for turn in (1, 2):
        with Asker(address) as one, Asker(address) as another, Asker(address) as third:
            one.send(b"hush")
            another.send(b"hush")
            balancer.until(lambda turn=turn: balancer.metric("evenly_endpoint_failures_total", **failures) == 2 * turn)
            assert third.ask(b"speak") == b"speak"
    assert balancer.endpoint(talks)["state"] == "healthy"


def test_who_is_answered_stays_with_an_ejected_endpoint(udp, echoes) -> None:
    """What goes well is not cut; only those leave that had no answer from it."""
    one, other = echoes("a", answer=lambda data: [data] if data == b"speak" else []) + echoes("b")
    options = 'responses = 1000000\ntimeouts = { idle = "1s" }'
    balancer, address = udp(one, other, listener=options, pool=EJECTS)
    balancer.set_endpoint(other, weight=0)
    with contextlib.ExitStack() as open_:
        talker = open_.enter_context(Asker(address))
        assert talker.ask(b"speak") == b"speak"
        balancer.set_endpoint(other, weight=1)
        hushed = [open_.enter_context(Asker(address)) for _ in range(8)]
        for client in hushed:
            client.send(b"hush")
        while balancer.endpoint(one)["state"] != "ejected":
            assert talker.ask(b"speak") == b"speak"
        assert talker.ask(b"speak") == b"speak"
        assert open_.enter_context(Asker(address)).ask() == b"b:x"


def test_the_circuit_opens_and_closes(udp, echoes) -> None:
    """Refused sessions open it, datagrams are then spared and counted, and answered probes close it again."""
    breaker = 'circuit_breaker = { minimum_requests = 4, base_open_time = "1s", half_open_requests = 2 }'
    (echo,) = echoes("a")
    balancer, address = udp(echo, pool=breaker)
    echo.close()
    with contextlib.ExitStack() as open_:
        for _ in range(4):
            open_.enter_context(Asker(address)).send()
        assert balancer.wait_log("circuit", to="open")["reason"].startswith("100% of 4 requests failed")
        open_.enter_context(Asker(address)).send()
        labels = {"listener": "dns", "reason": "circuit-open"}
        balancer.until(lambda: balancer.metric("evenly_terminations_total", **labels) == 1)
        assert balancer.metric("evenly_pool_circuit_rejected_total", pool="app") == 1
        open_.enter_context(Echo("a", port=echo.port))
        balancer.wait_log("circuit", to="half-open")
        for _ in range(2):
            assert open_.enter_context(Asker(address)).ask() == b"a:x"
        balancer.wait_log("circuit", to="closed")


def test_the_circuit_closes_where_nobody_answers(udp, echoes) -> None:
    """As for logs: that the network refuses nothing is what success is."""
    breaker = 'circuit_breaker = { minimum_requests = 4, base_open_time = "1s", half_open_requests = 2 }'
    (deaf,) = echoes("deaf", answer=lambda _: [])
    balancer, address = udp(deaf, pool=breaker)
    deaf.close()
    with contextlib.ExitStack() as open_:
        for _ in range(4):
            open_.enter_context(Asker(address)).send()
        balancer.wait_log("circuit", to="open")
        open_.enter_context(Echo("deaf", port=deaf.port, answer=lambda _: []))
        balancer.wait_log("circuit", to="half-open")
        for _ in range(2):
            open_.enter_context(Asker(address)).send()
        balancer.wait_log("circuit", to="closed")
