"""Affinity by the name that TLS clients ask for: all clients of a name go to one endpoint, wherever TLS ends."""

import select
import ssl

import pytest

from ..support.endpoint import Endpoint
from ..support.wire import Peer

NAMES = [f"tenant-{number}.example.com" for number in range(8)]


def client_hello(name: str) -> bytes:
    """What a TLS client that asks for this name sends first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        asking.do_handshake()
    return outgoing.read()


def test_passed_through(run, port) -> None:
    """The name is read before the pick, and the endpoint gets every byte; names compare without case."""
    bound = port()
    with Endpoint() as a, Endpoint() as b, Endpoint() as c:
        endpoints = (a, b, c)
        listed = ", ".join(f'"{each}"' for each in endpoints)
        balancer = run(
            f'workers = 1\naccess_log = "-"\n[listeners.tls]\nbind = "{bound}"\nprotocol = "tcp"\npool = "app"\n'
            f'timeouts = {{ header = "3s" }}\n[pools.app]\nendpoints = [{listed}]\naffinity = {{ sni = true }}\n'
        )

        def asked(name: str) -> Endpoint:
            hello = client_hello(name)
            with Peer.connect(bound.address) as client:
                client.send(hello)
                ready, _, _ = select.select([each.socket for each in endpoints], [], [], 10)
                endpoint = next(each for each in endpoints if each.socket in ready)
                with endpoint.accept() as peer:
                    assert peer.read_exactly(len(hello)) == hello
                return endpoint

        first = [asked(name) for name in NAMES]
        assert len(set(map(str, first))) == 3, "new names are spread"
        assert [asked(name.upper()) for name in reversed(NAMES)] == first[::-1]
        metric = balancer.metric
        for outcome in ("new", "hit"):
            balancer.until(
                lambda outcome=outcome: (
                    metric("evenly_affinity_requests_total", pool="app", outcome=outcome) == len(NAMES)
                )
            )
        assert balancer.status()["pools"][0]["affinity"] == {"by": "sni", "entries": len(NAMES)}
        with Peer.connect(bound.address) as stranger:
            stranger.send("GET / HTTP/1.1\r\n\r\n")
            stranger.expect_cut()


def test_where_it_ends_here(run, port, servers, authority) -> None:
    """The name that the certificate was chosen by counts, for requests and for streams."""
    http, stream, running = port(), port(), servers("a", "b", "c")
    files = authority.issue("*.example.com")
    listed = ", ".join(f'"{each}"' for each in running)
    pool = f'endpoints = [{listed}]\naffinity = {{ sni = true, ttl = "1h" }}\n'
    run(
        f'workers = 1\n[listeners.web]\nbind = "{http}"\ntls = {{ certificates = "site" }}\n'
        f'[listeners.db]\nbind = "{stream}"\nprotocol = "tcp"\npool = "db"\ntls = {{ certificates = "site" }}\n'
        f'[pools.app]\n{pool}[pools.db]\n{pool}[[routes]]\npool = "app"\n{files.table("site")}'
    )

    def answers(bound: object) -> list[str]:
        found = []
        for name in NAMES:
            with authority.connect(bound, name) as client:
                found.append(client.ask().text)
        return found

    for bound in (http, stream):
        first = answers(bound)
        assert set(first) == {"a", "b", "c"}
        assert answers(bound) == first
