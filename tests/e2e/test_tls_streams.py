"""TCP listeners with TLS: the pool gets what is inside, with half-close, and without ends that nobody has announced."""

import contextlib
import select
import ssl
import threading

import pytest

from ..support.server import pattern
from ..support.wire import DEADLINE


@pytest.fixture
def relay(run, port, authority):
    """A balancer with one TCP listener with TLS in front of an endpoint; the balancer and the port."""

    def start(endpoint: object, tls: str = "", listener: str = ""):
        bound, site = port(), authority.issue("shop.test")
        balancer = run(
            f'workers = 1\naccess_log = "-"\n[listeners.db]\nbind = "{bound}"\nprotocol = "tcp"\npool = "app"\n'
            f'tls = {{ certificates = "site"{tls} }}\n{listener}\n'
            f'[pools.app]\nendpoints = "{endpoint}"\n{site.table("site")}'
        )
        return balancer, bound

    return start


def test_bytes_go_both_ways(relay, endpoint, authority) -> None:
    """Either side may speak first, and the log says how the client came."""
    balancer, bound = relay(endpoint, tls=', alpn = ["postgresql"]')
    with authority.connect(bound, alpn=["postgresql"]) as client:
        assert client.session.selected_alpn_protocol() == "postgresql"
        peer = endpoint.accept()
        peer.send("ready")
        assert client.read_exactly(5) == b"ready"
        client.send("question")
        assert peer.read_exactly(8) == b"question"
    assert balancer.access(protocol="TCP")["sni"] == "shop.test"


def test_bulk(relay, endpoint, authority) -> None:
    """Many megabytes each way at once."""
    _, bound = relay(endpoint)
    size = 16 << 20
    with authority.connect(bound) as client:
        peer = endpoint.accept()
        got = []
        threads = [
            threading.Thread(target=lambda: peer.send(pattern(0, size))),
            threading.Thread(target=lambda: got.append(peer.read_exactly(size))),
        ]
        for thread in threads:
            thread.start()
        got.append(exchange(client.session, pattern(0, size), size))
        for thread in threads:
            thread.join(60)
        assert got == [pattern(0, size)] * 2


def exchange(session: ssl.SSLSocket, sent: bytes, size: int) -> bytes:
    """Sends this and receives so many bytes, in one thread: OpenSSL does not take calls of two for one session."""
    session.setblocking(False)
    left, received = memoryview(sent), bytearray()
    while left or len(received) < size:
        is_stuck = True
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            received += session.recv(1 << 16)
            is_stuck = False
        if left:
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                # The same piece until it is taken.
                left = left[session.send(left[: 1 << 16]) :]
                is_stuck = False
        if is_stuck:
            ready = select.select([session], [session] if left else [], [], DEADLINE)
            assert any(ready), f"{len(left)} bytes not sent, {len(received)} received"
    return bytes(received)


def test_the_client_says_that_it_has_said_all(relay, endpoint, authority) -> None:
    """close_notify ends one direction; the answer still comes, and with it the other's end."""
    _, bound = relay(endpoint)
    with authority.connect(bound) as client:
        peer = endpoint.accept()
        client.send("question")
        # Sends close_notify; the answer's end is read by `unwrap` itself.
        peer.send("answer")
        assert client.read_exactly(6) == b"answer"
        closing = threading.Thread(target=client.session.unwrap)
        closing.start()
        assert peer.read_to_end() == b"question"
        peer.close()
        closing.join(10)
        assert not closing.is_alive()


def test_the_endpoint_says_that_it_has_said_all(relay, endpoint, authority) -> None:
    """The client gets close_notify."""
    _, bound = relay(endpoint)
    with authority.connect(bound) as client:
        peer = endpoint.accept()
        peer.send("answer")
        peer.half_close()
        assert client.read_to_end() == b"answer"
        peer.close()


def test_a_client_that_breaks_off_is_no_end(relay, endpoint, authority) -> None:
    """Without close_notify somebody may have cut the connection: the endpoint gets a reset."""
    _, bound = relay(endpoint)
    client = authority.connect(bound)
    peer = endpoint.accept()
    client.send("half of a")
    assert peer.read_exactly(9) == b"half of a"
    client.break_off()
    with pytest.raises(ConnectionResetError):
        peer.receive()


def test_an_endpoint_that_breaks_off_is_no_end(relay, endpoint, authority) -> None:
    """The client gets no close_notify."""
    _, bound = relay(endpoint)
    with authority.connect(bound) as client:
        peer = endpoint.accept()
        peer.send("half of a")
        assert client.read_exactly(9) == b"half of a"
        peer.reset()
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            client.read_to_end()
