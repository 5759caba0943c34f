"""UDP listeners: a client's datagrams stay with one endpoint, answers come from the address that was asked."""

import contextlib
import socket

import pytest

from ..support.datagram import Asker, Echo, free_port


@pytest.fixture
def udp(run):
    """Starts a balancer with one UDP listener in front of endpoints; the balancer, the address, and the text."""

    def start(*endpoints: object, bind: str | None = None, top: str = "", listener: str = "", pool: str = ""):
        bound = bind or f"127.0.0.1:{free_port()}"
        listed = ", ".join(f'"{each}"' for each in endpoints)
        text = (
            f'workers = 2\n{top}\n[listeners.dns]\nbind = "{bound}"\nprotocol = "udp"\npool = "app"\n{listener}\n'
            f"[pools.app]\nendpoints = [{listed}]\n{pool}\n"
        )
        host, _, port = bound.rpartition(":")
        return run(text), (host.strip("[]"), int(port)), text

    return start


@pytest.fixture
def echoes():
    """Starts UDP endpoints: `echoes("a", "b")`."""
    with contextlib.ExitStack() as running:
        yield lambda *names, **options: [running.enter_context(Echo(name, **options)) for name in names]


def test_sessions_stay_and_are_shared_out(udp, echoes) -> None:
    """Every datagram of a client reaches the same endpoint; clients are shared out by the balancer."""
    endpoints = echoes("a", "b", "c")
    balancer, address, _ = udp(*endpoints)
    names = []
    with contextlib.ExitStack() as open_:
        clients = [open_.enter_context(Asker(address)) for _ in range(12)]
        for client in clients:
            answers = {client.ask(b"%d" % turn).split(b":")[0] for turn in range(5)}
            assert len(answers) == 1
            names += answers
        assert {name.decode() for name in names} == {"a", "b", "c"}
        assert balancer.status()["listeners"][0]["connections"] == 12
    assert balancer.metric("evenly_datagrams_total", listener="dns", direction="in") == 60
    assert balancer.metric("evenly_datagrams_total", listener="dns", direction="out") == 60


def test_silence_ends_a_session(udp, echoes) -> None:
    """Nobody says goodbye over UDP; the line in the access log comes then."""
    balancer, address, _ = udp(*echoes("a"), top='access_log = "-"', listener='timeouts = { idle = "300ms" }')
    with Asker(address) as client:
        assert client.ask(b"12345") == b"a:12345"
        line = balancer.access(listener="dns")
        assert (line["protocol"], line["bytes_in"], line["bytes_out"]) == ("UDP", 5, 7)
        balancer.until(lambda: balancer.status()["listeners"][0]["connections"] == 0)


def test_every_size(udp, echoes) -> None:
    """Datagrams pass as they are: empty, small, and the largest that there may be."""
    _, address, _ = udp(*echoes("", answer=lambda data: [data]))
    with Asker(address) as client:
        for size in (0, 1, 512, 1472, 9000, 65_507):
            data = bytes(range(256)) * 256
            assert client.ask(data[:size]) == data[:size]


def test_many_answers(udp, echoes) -> None:
    """An endpoint may answer as often as it likes, also later."""
    _, address, _ = udp(*echoes("a", answer=lambda data: [b"%d" % n for n in range(100)]))
    with Asker(address) as client:
        client.send(b"x")
        assert sorted(int(client.receive()) for _ in range(100)) == list(range(100))


def test_responses_end_a_session(udp, echoes) -> None:
    """With `responses = 1` the answer ends the session: nothing is kept, and the next datagram is a new one."""
    endpoints = echoes("a", "b")
    balancer, address, _ = udp(*endpoints, listener="responses = 1", pool='balance = "round-robin"')
    with Asker(address) as client:
        assert {client.ask().split(b":")[0] for _ in range(4)} == {b"a", b"b"}
        balancer.until(lambda: balancer.status()["listeners"][0]["connections"] == 0)


@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.2", "127.9.9.9"])
def test_the_answer_comes_from_the_address_that_was_asked(udp, echoes, asked) -> None:
    """On a socket that is bound to every address; the client takes answers from no other."""
    _, (_, port), _ = udp(*echoes("a"), bind=f"0.0.0.0:{free_port()}")
    with Asker((asked, port)) as client:
        assert client.ask() == b"a:x"


def test_ipv6_wildcard_serves_both_families(udp, echoes) -> None:
    """`[::]` takes IPv4 as well, and the endpoint's family does not matter."""
    _, (_, port), _ = udp(*echoes("six", ip="::1"), bind=f"[::]:{free_port()}")
    for ip in ("::1", "127.0.0.1", "127.0.0.3"):
        with Asker((ip, port)) as client:
            assert client.ask() == b"six:x"


def test_a_dead_endpoint_loses_its_sessions_to_the_others(udp, echoes) -> None:
    """Sessions of an endpoint that refuses move with the next datagram, once; the others stay."""
    endpoints = echoes("a", "b")
    balancer, address, _ = udp(*endpoints)
    with contextlib.ExitStack() as open_:
        clients = [open_.enter_context(Asker(address)) for _ in range(8)]
        before = [client.ask().split(b":")[0] for client in clients]
        assert set(before) == {b"a", b"b"}
        endpoints[0].close()

        def moved(client: Asker) -> bool:
            client.socket.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                return client.ask().startswith(b"b")
            return False

        for client in clients:
            balancer.until(lambda client=client: moved(client))
    assert balancer.metric("evenly_sessions_moved_total", listener="dns") == before.count(b"a")
    failures = balancer.metric("evenly_endpoint_failures_total", endpoint=str(endpoints[0]), reason="connect-failed")
    assert failures >= 1


def test_an_endpoint_that_drains_keeps_its_sessions(udp, echoes) -> None:
    """The operator drains one: clients that have a session stay, new ones go elsewhere; maintenance moves them."""
    endpoints = echoes("a", "b")
    balancer, address, _ = udp(*endpoints)
    with contextlib.ExitStack() as open_:
        clients = [open_.enter_context(Asker(address)) for _ in range(8)]
        before = [client.ask() for client in clients]
        balancer.set_endpoint(endpoints[0], state="draining")
        assert [client.ask() for client in clients] == before
        for _ in range(4):
            assert open_.enter_context(Asker(address)).ask() == b"b:x"
        balancer.set_endpoint(endpoints[0], state="maintenance")
        assert {client.ask() for client in clients} == {b"b:x"}


def test_a_reload_keeps_sessions(udp, echoes) -> None:
    """Whatever else changes, a client stays where it is; only an endpoint that is removed loses its sessions."""
    endpoints = echoes("a", "b", "c")
    balancer, address, text = udp(*endpoints[:2])
    with contextlib.ExitStack() as open_:
        clients = [open_.enter_context(Asker(address)) for _ in range(10)]
        before = [client.ask() for client in clients]
        for balance in ("random", "two-choices", "ip-hash"):
            balancer.reload(text.replace("[pools.app]", f'[pools.app]\nbalance = "{balance}"'))
            assert [client.ask() for client in clients] == before
        balancer.reload(text.replace(f'"{endpoints[0]}"', f'"{endpoints[2]}"'))
        after = [client.ask() for client in clients]
        assert all(was == now for was, now in zip(before, after, strict=True) if was == b"b:x")
        assert b"a:x" not in after


def test_limits(udp, echoes) -> None:
    """Datagrams of sessions beyond a limit are dropped and counted; sessions that there are go on."""
    balancer, address, _ = udp(*echoes("a"), listener='max_sessions = 2\ndeny = ["127.0.0.9/32"]')
    with Asker(address) as first, Asker(address) as second, Asker(address) as third:
        assert first.ask() == second.ask() == b"a:x"
        assert third.asks_in_vain()
        assert first.ask() == b"a:x"
    with Asker(address, source="127.0.0.9") as denied:
        assert denied.asks_in_vain()
    assert balancer.metric("evenly_terminations_total", listener="dns", reason="overload") == 1
    assert balancer.metric("evenly_terminations_total", listener="dns", reason="client-denied") == 1


def test_sessions_per_client(udp, echoes) -> None:
    """One client cannot have them all."""
    _, address, _ = udp(*echoes("a"), listener="max_sessions_per_client = 1")
    with Asker(address, source="127.0.0.2") as first, Asker(address, source="127.0.0.2") as second:
        assert first.ask() == b"a:x"
        assert second.asks_in_vain()
        with Asker(address, source="127.0.0.3") as other:
            assert other.ask() == b"a:x"


def test_udp_and_tcp_on_one_port(run, echoes, endpoint, port) -> None:
    """As DNS does: their ports have nothing to do with one another."""
    bound = port()
    run(
        f'[listeners.udp]\nbind = "{bound}"\nprotocol = "udp"\npool = "datagrams"\n'
        f'[listeners.tcp]\nbind = "{bound}"\nprotocol = "tcp"\npool = "streams"\n'
        f'[pools.datagrams]\nendpoints = "{echoes("a")[0]}"\n[pools.streams]\nendpoints = "{endpoint}"\n'
    )
    with Asker(bound.address) as client:
        assert client.ask() == b"a:x"
    with socket.create_connection(bound.address) as stream:
        stream.sendall(b"y")
        assert endpoint.accept().read_exactly(1) == b"y"


def test_ip_hash_is_affinity_by_source(udp, echoes) -> None:
    """A client reaches the same endpoint from every port."""
    _, address, _ = udp(*echoes("a", "b", "c"), pool='balance = "ip-hash"')
    for source in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
        answers = set()
        for _ in range(6):
            with Asker(address, source=source) as client:
                answers.add(client.ask())
        assert len(answers) == 1


def test_the_endpoint_learns_the_client(udp, echoes) -> None:
    """`proxy_protocol = "v2"`: a header in front of every datagram."""
    (echo,) = echoes("a")
    _, address, _ = udp(echo, pool='proxy_protocol = "v2"')
    with Asker(address) as client:
        client.ask(b"one")
        client.ask(b"two")
        ip, number = client.address
    signature, head = b"\r\n\r\n\0\r\nQUIT\n", b"\x21\x12\0\x0c"
    ends = (
        socket.inet_aton(ip) + socket.inet_aton(address[0]) + number.to_bytes(2, "big") + address[1].to_bytes(2, "big")
    )
    assert echo.received == [signature + head + ends + data for data in (b"one", b"two")]
