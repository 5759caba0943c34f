"""Connections that outlive reloads let go of the configuration that they began in, and go on all the same."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ..support.balancer import Balancer
from ..support.endpoint import Endpoint
from ..support.ports import Port
from ..support.wire import Peer

GENERATIONS = 10


class Generations:
    """A balancer with a listener of streams, and with one connection from each of its configurations."""

    def __init__(self, balancer: Balancer, port: Port, endpoint: Endpoint) -> None:
        self.balancer = balancer
        self.port = port
        self.endpoint = endpoint

    def next(self) -> None:
        """A reload that changes something of everything."""
        number = int(self.balancer.metric("evenly_generation"))
        self.balancer.reload(_file(self.port, self.endpoint, number))

    def in_flight(self) -> int:
        """What the endpoint has under way."""
        under_way: int = self.balancer.endpoint(self.endpoint)["in_flight"]
        return under_way


def _file(port: Port, endpoint: Endpoint, number: int) -> str:
    return (
        f'workers = 1\n[listeners.db]\nbind = "{port}"\nprotocol = "tcp"\npool = "app"\n'
        f'timeouts = {{ idle = "{number + 60}s" }}\n'
        f'[pools.app]\nendpoints = ["{endpoint}"]\ntimeouts = {{ connect = "{number + 10}s" }}\n'
    )


@pytest.fixture
def generations(run, port, endpoint) -> Generations:
    """The balancer in its first generation; the test plays the endpoint."""
    bound = port()
    return Generations(run(_file(bound, endpoint, 0)), bound, endpoint)


@pytest.fixture
def held() -> Iterator[ExitStack]:
    """Closes at the end what the test holds open."""
    with ExitStack() as stack:
        yield stack


def _both_ways(client: Peer, peer: Peer) -> None:
    client.send("ping")
    assert peer.read_exactly(4) == b"ping"
    peer.send("pong")
    assert client.read_exactly(4) == b"pong"


def test_relays_let_go(generations, held) -> None:
    """One relay from each of ten configurations: one configuration is in memory, and each relay works to its end."""
    balancer, relays = generations.balancer, []
    for _ in range(GENERATIONS):
        client = held.enter_context(Peer.connect(generations.port.address))
        relays.append((client, generations.endpoint.accept()))
        _both_ways(*relays[-1])
        generations.next()
    assert balancer.metric("evenly_generation") == GENERATIONS + 1
    balancer.until(lambda: balancer.metric("evenly_snapshots") == 1)
    assert generations.in_flight() == GENERATIONS
    for client, peer in relays:
        _both_ways(client, peer)
        peer.close()
        client.expect_end()
        client.close()
    # Counted when they end, and for the listener and the pool that they came to.
    balancer.until(lambda: balancer.metric("evenly_requests_total", listener="db", pool="app") == GENERATIONS)
    assert generations.in_flight() == 0
