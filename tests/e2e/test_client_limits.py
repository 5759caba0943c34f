"""Who may come in: denied networks, and connections of one client; and how the others are turned away."""

import pytest

from ..support.wire import Peer


@pytest.fixture
def guarded(run, port):
    """A balancer with one TCP listener that has these options; the balancer and the port."""

    def start(endpoint: object, options: str):
        bound = port()
        balancer = run(
            f'access_log = "-"\n[listeners.db]\nbind = "{bound}"\nprotocol = "tcp"\npool = "app"\n{options}\n'
            f'[pools.app]\nendpoints = "{endpoint}"\n'
        )
        return balancer, bound

    return start


def refused(balancer, reason: str) -> float:
    """How many connections were turned away for this reason."""
    return balancer.metric("evenly_terminations_total", listener="db", reason=reason)


def test_denied_networks(guarded, endpoint) -> None:
    """Their clients are reset before a byte is read, and nobody else is."""
    balancer, bound = guarded(endpoint, 'deny = ["127.0.0.2/32", "192.0.2.0/24"]')
    with Peer.connect(bound.address, source="127.0.0.2") as client:
        assert client.expect_cut() == b""
    assert balancer.access(listener="db")["reason"] == "client-denied"
    assert refused(balancer, "client-denied") == 1
    with Peer.connect(bound.address) as client:
        client.send("x")
        assert endpoint.accept().read_exactly(1) == b"x"


def test_connections_of_one_client(guarded, endpoint) -> None:
    """The limit holds for each client by itself, and a connection that ends makes room."""
    balancer, bound = guarded(endpoint, "max_connections_per_client = 2")
    held = [Peer.connect(bound.address, source="127.0.0.2") for _ in range(2)]
    held += [endpoint.accept(), endpoint.accept()]
    with Peer.connect(bound.address, source="127.0.0.2") as third:
        assert third.expect_cut() == b""
    with Peer.connect(bound.address, source="127.0.0.3") as other:
        other.send("x")
        assert endpoint.accept().read_exactly(1) == b"x"
    endpoint.accepted[-1].close()
    assert refused(balancer, "client-limit") == 1
    for each in held:
        each.close()
    balancer.until(lambda: balancer.status()["connections"] == 0)
    with Peer.connect(bound.address, source="127.0.0.2") as fourth:
        fourth.send("y")
        assert endpoint.accept().read_exactly(1) == b"y"


def test_http_clients_are_counted_too(web, endpoint) -> None:
    """The same limit on an HTTP listener."""
    serving = web(endpoint, listener="max_connections_per_client = 1")
    address = ("127.0.0.1", serving.port.number)
    with Peer.connect(address, source="127.0.0.2") as first:
        first.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        endpoint.serve()
        assert first.read_response().text == "ok"
        with Peer.connect(address, source="127.0.0.2") as second:
            assert second.expect_cut() == b""


def test_tarpit(guarded, endpoint) -> None:
    """The client is left waiting: no byte, no end."""
    balancer, bound = guarded(endpoint, 'deny = "127.0.0.2"\non_deny = "tarpit"')
    with Peer.connect(bound.address, source="127.0.0.2") as client:
        client.send("x")
        client.expect_silence(0.5)
        assert refused(balancer, "client-denied") == 1
    assert not endpoint.is_asked()


def test_drop(guarded, endpoint) -> None:
    """Here, where no router lies between, the reset does arrive; what counts is that the connection is gone."""
    balancer, bound = guarded(endpoint, 'deny = "127.0.0.2"\non_deny = "drop"')
    with Peer.connect(bound.address, source="127.0.0.2") as client:
        assert client.expect_cut() == b""
    assert refused(balancer, "client-denied") == 1


def test_behind_a_proxy_the_client_counts(guarded, endpoint) -> None:
    """Limits and denied networks go by the address in the PROXY protocol header."""
    options = 'proxy_protocol = "127.0.0.1"\ndeny = "192.0.2.0/24"\nmax_connections_per_client = 1'
    balancer, bound = guarded(endpoint, options)

    def header(client: str) -> str:
        return f"PROXY TCP4 {client} 198.51.100.7 1000 443\r\n"

    with Peer.connect(bound.address) as denied:
        denied.send(header("192.0.2.1"))
        assert denied.expect_cut() == b""
    line = balancer.access(listener="db")
    assert (line["client"], line["reason"]) == ("192.0.2.1", "client-denied")
    with (
        Peer.connect(bound.address) as first,
        Peer.connect(bound.address) as again,
        Peer.connect(bound.address) as other,
    ):
        first.send(header("203.0.113.1"), "1")
        assert endpoint.accept().read_exactly(1) == b"1"
        again.send(header("203.0.113.1"))
        assert again.expect_cut() == b""
        other.send(header("203.0.113.2"), "2")
        assert endpoint.accept().read_exactly(1) == b"2"
