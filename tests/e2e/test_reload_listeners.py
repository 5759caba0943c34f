"""A listener that a reload removes or moves leaves nobody without an answer who was connected to it before."""

import time

import pytest

from ..support.balancer import configuration
from ..support.load import Load
from ..support.wire import Peer


@pytest.fixture(params=["removed", "moved"])
def leaving(request, run, port, servers):
    """A balancer with a listener `old`; the balancer, its endpoints, the port, and the file without that port."""
    backends = servers("a")
    stays, leaves, elsewhere = port(), port(), port()

    def start(listener: str = "", top: str = ""):
        def text(bind: object) -> str:
            return configuration(
                *backends, bind=stays, top=top, listener=f'[listeners.old]\nbind = "{bind}"\n{listener}'
            )

        balancer = run(text(leaves))
        after = configuration(*backends, bind=stays, top=top) if request.param == "removed" else text(elsewhere)
        return balancer, backends, leaves, after

    return start


def refused(address: tuple[str, int]) -> None:
    """Nobody listens there any more."""
    with pytest.raises(ConnectionRefusedError):
        Peer.connect(address)


def test_an_idle_connection_is_served_once_more(leaving) -> None:
    """Its next request may be on its way already: it is answered as before, and told that it was the last."""
    balancer, _, leaves, after = leaving()
    with Peer.connect(leaves.address) as client:
        assert client.ask().one("Connection") is None
        balancer.reload(after)
        response = client.ask()
        assert (response.status, response.text, response.one("Connection")) == (200, "a", "close")
        client.expect_end()
    refused(leaves.address)


def test_an_idle_connection_ends(leaving) -> None:
    """One that asks for nothing more is closed about a second after."""
    balancer, _, leaves, after = leaving()
    with Peer.connect(leaves.address) as client:
        client.ask()
        balancer.reload(after)
        began = time.monotonic()
        client.expect_end()
        assert 0.5 < time.monotonic() - began < 5
    balancer.until(lambda: balancer.metric("evenly_connections") == 0)


def test_a_request_under_way_is_finished(leaving) -> None:
    """And is told that it was the last."""
    balancer, backends, leaves, after = leaving()
    with Peer.connect(leaves.address) as client:
        client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
        balancer.until(lambda: backends[0].requests["/hold"])
        balancer.reload(after)
        backends.release()
        assert client.read_response().status == 200
        client.expect_end()


def test_who_waits_in_the_accept_queue_is_served(leaving) -> None:
    """Clients beyond the connection limit wait in the kernel's queue; closing the socket would reset them."""
    balancer, _, leaves, after = leaving(listener="max_connections = 1")
    with Peer.connect(leaves.address) as first:
        first.ask()
        with Peer.connect(leaves.address) as second, Peer.connect(leaves.address) as third:
            for client in (second, third):
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            balancer.until(lambda: balancer.metric("evenly_connections_limited_total") == 1)
            balancer.reload(after)
            first.expect_end()
            for client in (second, third):
                assert client.read_response().text == "a"


def test_under_load(run, port, servers) -> None:
    """While a listener comes and goes, a new client is refused or served, and nothing between."""
    backends = servers("a")
    stays, leaves = port(), port()
    without = configuration(*backends, bind=stays)
    balancer = run(configuration(*backends, bind=stays, listener=f'[listeners.old]\nbind = "{leaves}"\n'))
    present = balancer.file.read_text()
    with Load(leaves, connections=16, fresh=True) as load:
        for _ in range(10):
            load.wait_for(100)
            balancer.reload(without)
            balancer.reload(present)
    assert set(load.answers) == {200}
    assert [failure for failure in load.failures if "ConnectionRefusedError" not in failure] == []
