"""`evenly upgrade`: a new process takes over the sockets, the old one drains, nobody notices."""

from ..support.balancer import configuration, run_verb
from ..support.load import Load
from ..support.server import pattern
from ..support.wire import Peer


def upgrade(balancer) -> int:
    """Upgrades through the command line; the new process's id."""
    run_verb("upgrade", "--admin", str(balancer.admin_path))
    pid = balancer.status()["pid"]
    assert pid != balancer.pid
    balancer.follow(pid)
    return pid


def test_under_load(run, port, servers) -> None:
    """No request fails: neither on connections that stay nor on new ones."""
    backends = servers("a", "b")
    bound = port()
    balancer = run(configuration(*backends, bind=bound).replace("workers = 1", "workers = 2"))
    with Load(bound, connections=8) as kept, Load(bound, connections=4, fresh=True) as fresh:
        kept.wait_for(300)
        upgrade(balancer)
        kept.wait_for(300)
        fresh.wait_for(300)
    kept.assert_clean()
    fresh.assert_clean()
    assert balancer.wait() == 0


def test_what_is_under_way_is_finished_by_the_old_process(run, port, servers) -> None:
    """A request that takes long ends where it began."""
    backends = servers("a")
    bound = port()
    balancer = run(configuration(*backends, bind=bound))
    with Peer.connect(bound.address) as client:
        client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
        balancer.until(lambda: backends[0].requests["/hold"])
        upgrade(balancer)
        with Peer.connect(bound.address) as other:
            assert other.ask().text == "a"
        assert balancer.process.poll() is None
        backends.release()
        assert client.read_response().status == 200
    assert balancer.wait() == 0


def test_a_tunnel_and_a_download_go_on(run, port, servers, endpoint) -> None:
    """An open tunnel and a download under way stay with the old process, whole."""
    backend = servers("a")[0]
    bound = port()
    routes = f'[pools.chat]\nendpoints = ["{endpoint}"]\n[[routes]]\npath = "/chat"\npool = "chat"\n'
    balancer = run(configuration(backend, bind=bound, routes=routes + '[[routes]]\npool = "app"\n'))
    size = 50_000_000
    with Peer.connect(bound.address) as chat, Peer.connect(bound.address, receive_buffer=65536) as download:
        chat.send("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        peer, _ = endpoint.serve("HTTP/1.1 101 -\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        chat.read_head()
        download.send(f"GET /bytes/{size} HTTP/1.1\r\nHost: a\r\n\r\n")
        download.read_head()
        upgrade(balancer)
        chat.send("still there?")
        assert peer.read_exactly(12) == b"still there?"
        peer.send("yes")
        assert chat.read_exactly(3) == b"yes"
        assert download.read_exactly(size) == pattern(0, size)
        peer.close()
    assert balancer.wait() == 0


def test_new_configuration_and_old_states(run, port, servers) -> None:
    """The new process reads the file anew, and knows what the operator set and what the checks found."""
    backends = servers("a", "b")
    bound = port()
    balancer = run(configuration(*backends, bind=bound))
    balancer.set_endpoint(backends[0], state="draining")
    balancer.file.write_text(
        configuration(*backends, bind=bound) + '[[routes]]\npath = "/new"\nrespond = {}\n[[routes]]\npool = "app"\n'
    )
    upgrade(balancer)
    assert balancer.endpoint(backends[0])["state"] == "draining"
    with Peer.connect(bound.address) as client:
        assert {client.ask().text for _ in range(4)} == {"b"}
        assert client.ask("/new").body == b""


def test_the_old_process_checks_nothing_any_more(run, port, servers) -> None:
    """It lasts as long as its longest connection, and endpoints must not be checked twice as often meanwhile."""
    backends = servers("a")
    bound = port()
    check = 'health_check = { type = "http", path = "/healthz", interval = "100ms", reuse_connection = false }'
    balancer = run(configuration(*backends, bind=bound, pool=check))
    with Peer.connect(bound.address) as held:
        held.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
        balancer.until(lambda: backends[0].requests["/hold"])
        upgrade(balancer)
        # Checks of the new process alone: they are counted there, and all that the endpoint gets are theirs.
        counted = lambda: balancer.metric("evenly_endpoint_health_checks_total", endpoint=str(backends[0]))  # noqa: E731
        began, seen = counted(), backends[0].requests["/healthz"]
        balancer.until(lambda: counted() >= began + 20)
        assert backends[0].requests["/healthz"] - seen <= counted() - began + 3
        backends.release()
        assert held.read_response().status == 200


def test_twice(run, port, servers) -> None:
    """An upgraded process can be upgraded."""
    backends = servers("a")
    bound = port()
    balancer = run(configuration(*backends, bind=bound))
    first = upgrade(balancer)
    second = upgrade(balancer)
    assert len({first, second, balancer.process.pid}) == 3
    with Peer.connect(bound.address) as client:
        assert client.ask().text == "a"


def test_a_process_that_cannot_serve_takes_nothing(run, port, servers) -> None:
    """With a bad file the old process goes on as if nothing had happened."""
    backends = servers("a")
    bound = port()
    balancer = run(configuration(*backends, bind=bound))
    balancer.file.write_text("nonsense = 1\n")
    failed = run_verb("upgrade", "--admin", str(balancer.admin_path), expect=1)
    assert "nonsense" in failed.stderr
    assert balancer.status()["pid"] == balancer.pid
    with Peer.connect(bound.address) as client:
        assert client.ask().text == "a"


def test_systemd_learns_the_new_process(run, port, servers) -> None:
    """MAINPID names the process that serves now."""
    balancer = run(configuration(*servers("a"), bind=port()))
    pid = upgrade(balancer)
    balancer.notification(f"MAINPID={pid}")
