"""Descriptors are few: what rests holds none that it does not need, and gives way to who needs one."""

from contextlib import ExitStack

from ..support.balancer import configuration
from ..support.wire import Peer

# Far more endpoints than descriptors, and more than half of these for connections that rest.
LIMIT, ENDPOINTS = 256, 400
# A worker keeps 16 pipes, of two ends each, for the next large transfer.
KEPT_ENDS = 2 * 16


def test_idle_endpoint_connections_give_way(run, port, servers) -> None:
    """Connections kept for reuse do not use up what new requests and new clients need."""
    backend = servers("a", ip="0.0.0.0")[0]
    number = backend.address.rpartition(":")[2]
    endpoints = [f"127.0.{1 + index // 200}.{1 + index % 200}:{number}" for index in range(ENDPOINTS)]
    bound = port()
    run(configuration(*endpoints, bind=bound), descriptor_limit=LIMIT)
    with Peer.connect(bound.address) as first, Peer.connect(bound.address) as second:
        assert [first.ask().status for _ in range(ENDPOINTS)] == [200] * ENDPOINTS
        assert second.ask().status == 200
        with Peer.connect(bound.address) as third:
            assert third.ask().status == 200


def test_idle_tunnels_keep_no_pipe(run, port, servers) -> None:
    """A tunnel through which a lot went returns its pipe when it rests."""
    bound = port()
    balancer = run(
        f'workers = 1\n[listeners.db]\nbind = "{bound}"\nprotocol = "tcp"\npool = "app"\n'
        f'[pools.app]\nendpoints = ["{servers("a")[0]}"]\n'
    )
    before = balancer.pipe_ends()
    with ExitStack() as resting:
        for _ in range(KEPT_ENDS):
            client = resting.enter_context(Peer.connect(bound.address))
            assert len(client.ask("/bytes/2000000").body) == 2_000_000
        balancer.until(lambda: balancer.pipe_ends() - before <= KEPT_ENDS)
