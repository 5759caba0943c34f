"""TCP listeners carry bytes: both directions, half-close, bulk, deadlines and limits; same pools, same health."""

import contextlib
import threading
import time

import pytest

from ..support.server import pattern
from ..support.wire import Peer


@pytest.fixture
def relay(run, port):
    """Starts a balancer with one TCP listener in front of endpoints; the balancer and the port."""

    def start(*endpoints: object, top: str = "", listener: str = "", pool: str = ""):
        bound = port()
        listed = ", ".join(f'"{each}"' for each in endpoints)
        balancer = run(
            f'workers = 1\n{top}\n[listeners.db]\nbind = "{bound}"\nprotocol = "tcp"\npool = "app"\n{listener}\n'
            f"[pools.app]\nendpoints = [{listed}]\n{pool}\n"
        )
        return balancer, bound

    return start


def test_both_directions(relay, endpoint) -> None:
    """Either side may speak first; nothing is added and nothing is read."""
    _, bound = relay(endpoint)
    with Peer.connect(bound.address) as client:
        peer = endpoint.accept()
        peer.send("+OK ready\r\n")
        assert client.read_until(b"\r\n") == b"+OK ready\r\n"
        client.send(b"\x00\xff\r\n")
        assert peer.read_exactly(4) == b"\x00\xff\r\n"


@pytest.mark.parametrize("side", ["client", "endpoint"])
def test_half_close(relay, endpoint, side) -> None:
    """One side may stop sending and still receive, in both directions."""
    _, bound = relay(endpoint)
    with Peer.connect(bound.address) as client:
        peer = endpoint.accept()
        first, second = (client, peer) if side == "client" else (peer, client)
        first.send("question")
        first.half_close()
        assert second.read_to_end() == b"question"
        second.send("answer")
        second.close()
        assert first.read_to_end() == b"answer"


@pytest.mark.parametrize("side", ["client", "endpoint"])
def test_reset(relay, endpoint, side) -> None:
    """A reset ends the other side too, and not as if all had been said."""
    _, bound = relay(endpoint)
    client = Peer.connect(bound.address)
    peer = endpoint.accept()
    client.send("x")
    assert peer.read_exactly(1) == b"x"
    first, second = (client, peer) if side == "client" else (peer, client)
    first.reset()
    second.expect_cut()
    client.close()


def test_bulk_both_ways(relay, endpoint) -> None:
    """64 MiB each way at once, every byte in its place, in constant memory."""
    size = 64 << 20
    balancer, bound = relay(endpoint)
    with Peer.connect(bound.address) as client:
        peer = endpoint.accept()
        client.send("x")
        peer.read_exactly(1)
        before = balancer.memory()
        wrong = []

        def push(side: Peer) -> None:
            for offset in range(0, size, 1 << 20):
                side.send(pattern(offset, 1 << 20))
            side.half_close()

        def pull(side: Peer) -> None:
            received = 0
            while piece := side.receive():
                if piece != pattern(received, len(piece)):
                    wrong.append(received)
                received += len(piece)
            if received != size:
                wrong.append(received)

        threads = [threading.Thread(target=work, args=(side,)) for work in (push, pull) for side in (client, peer)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert balancer.memory() - before < 12 << 20


def test_idle_timeout(relay, endpoint) -> None:
    """A connection on which nothing moves ends on both sides."""
    balancer, bound = relay(endpoint, top='access_log = "-"', listener='timeouts = { idle = "300ms" }')
    with Peer.connect(bound.address) as client:
        peer = endpoint.accept()
        client.expect_cut()
        peer.expect_cut()
    assert balancer.access(listener="db")["reason"] == "idle-timeout"


def test_send_timeout(relay, endpoint) -> None:
    """A client that takes nothing is cut, and so is the endpoint that has more for it."""
    balancer, bound = relay(endpoint, top='access_log = "-"', listener='timeouts = { send = "300ms" }')
    with Peer.connect(bound.address, receive_buffer=4096) as client:
        peer = endpoint.accept()
        with pytest.raises(ConnectionError):
            peer.send(bytes(100_000_000))
        assert balancer.access(listener="db")["reason"] == "send-timeout"
        assert client.drain() < 100_000_000


@pytest.mark.parametrize("side", ["client", "endpoint"])
def test_half_close_timeout(relay, endpoint, side) -> None:
    """Once one side has said all, the other may not keep the connection in silence."""
    balancer, bound = relay(endpoint, top='access_log = "-"', listener='timeouts = { half_close = "300ms" }')
    with Peer.connect(bound.address) as client:
        peer = endpoint.accept()
        first, second = (client, peer) if side == "client" else (peer, client)
        first.send("question")
        first.half_close()
        assert second.read_exactly(8) == b"question"
        began = time.monotonic()
        first.expect_cut()
        second.expect_cut()
        assert 0.2 < time.monotonic() - began < 5
    assert balancer.access(listener="db")["reason"] == "idle-timeout"


def test_refused_goes_to_another_endpoint(relay, endpoint, port) -> None:
    """An endpoint that is not there is skipped."""
    _, bound = relay(port(), endpoint)
    for _ in range(4):
        with Peer.connect(bound.address) as client:
            peer = endpoint.accept()
            client.send("x")
            assert peer.read_exactly(1) == b"x"


def test_no_endpoint(relay) -> None:
    """With nobody to talk to, the connection ends at once, and the log says why."""
    balancer, bound = relay(top='access_log = "-"')
    # The end may come while this side is still connecting.
    with contextlib.suppress(ConnectionResetError), Peer.connect(bound.address) as client:
        client.expect_cut()
    assert balancer.access(listener="db")["reason"] == "no-endpoint-empty"


def test_connection_limit(relay, endpoint) -> None:
    """Beyond the limit, clients wait in the kernel's queue until one leaves."""
    _, bound = relay(endpoint, listener="max_connections = 1")
    first, second = Peer.connect(bound.address), Peer.connect(bound.address)
    peer = endpoint.accept()
    first.send("1")
    assert peer.read_exactly(1) == b"1"
    second.send("2")
    assert not endpoint.is_asked(0.3)
    first.close()
    peer.close()
    assert endpoint.accept().read_exactly(1) == b"2"
    second.close()


def test_shares(relay, servers) -> None:
    """The balancer picks for each connection."""
    backends = servers("a", "b", "c")
    _, bound = relay(*backends)
    names = []
    for _ in range(9):
        with Peer.connect(bound.address) as client:
            names.append(client.ask().text)
    assert sorted(names) == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
