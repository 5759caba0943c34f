"""PROXY protocol: trusted proxies say who the client is, and endpoints are told."""

import socket
import struct

import pytest

from ..support.endpoint import OK
from ..support.wire import Peer

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
LOCAL = SIGNATURE + b"\x20\0\0\0"


def v2(source: tuple[str, int], destination: tuple[str, int], tlvs: bytes = b"") -> bytes:
    """A version 2 header for TCP over IPv4."""
    block = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    block += struct.pack("!HH", source[1], destination[1]) + tlvs
    return SIGNATURE + b"\x21\x11" + struct.pack("!H", len(block)) + block


V2 = v2(("192.0.2.1", 56324), ("198.51.100.7", 443))
FROM_HERE = 'proxy_protocol = { from = ["127.0.0.1/32"] }'


def read_header(peer: Peer) -> bytes:
    """A version 2 header as an endpoint gets it."""
    fixed = peer.read_exactly(16)
    return fixed + peer.read_exactly(int.from_bytes(fixed[14:], "big"))


@pytest.fixture
def relay(run, port):
    """A balancer with one TCP listener in front of an endpoint; the balancer and the port."""

    def start(endpoint: object, listener: str = "", pool: str = ""):
        bound = port()
        balancer = run(
            f'access_log = "-"\n[listeners.db]\nbind = "{bound}"\nprotocol = "tcp"\npool = "app"\n{listener}\n'
            f'[pools.app]\nendpoints = "{endpoint}"\n{pool}\n'
        )
        return balancer, bound

    return start


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("size", [1, 1000])
def test_the_client_it_names_counts(web, endpoint, header, size) -> None:
    """In X-Forwarded-For and in the access log, also when the header comes byte by byte."""
    serving = web(endpoint, listener=FROM_HERE, top='access_log = "-"')
    with Peer.connect(("127.0.0.1", serving.port.number)) as client:
        for start in range(0, len(header), size):
            client.send(header[start : start + size])
        client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n")
        _, request = endpoint.serve()
        assert request.one("X-Forwarded-For") == "192.0.2.1"
        assert client.read_response().text == "ok"
        # The header stands for the connection, not for a request.
        client.send("GET /b HTTP/1.1\r\nHost: t\r\n\r\n")
        assert endpoint.accepted[0].read_request().one("X-Forwarded-For") == "192.0.2.1"
    assert serving.balancer.access(target="/a")["client"] == "192.0.2.1"


def test_a_proxy_may_speak_for_itself(web, endpoint) -> None:
    """LOCAL, as health checks of proxies send it, and UNKNOWN: the proxy is the client."""
    serving = web(endpoint, listener=FROM_HERE)
    for header in (LOCAL, b"PROXY UNKNOWN\r\n"):
        with Peer.connect(("127.0.0.1", serving.port.number)) as client:
            client.send(header, "GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            _, request = endpoint.serve("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            assert request.one("X-Forwarded-For") == "127.0.0.1"


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nHost: t\r\n\r\n", V1[:-2] + b"\n", V2[:13] + b"\xff" + V2[14:]])
def test_garbage_from_a_proxy_is_cut_and_counted(relay, endpoint, sent) -> None:
    """A trusted proxy must send a header, and a right one."""
    balancer, bound = relay(endpoint, FROM_HERE)
    with Peer.connect(bound.address) as client:
        client.send(sent)
        assert client.expect_cut() == b""
    assert balancer.access(listener="db")["reason"] == "proxy-header-bad"
    balancer.until(lambda: balancer.metric("evenly_terminations_total", listener="db", reason="proxy-header-bad") == 1)


def test_silence_from_a_proxy_is_cut(relay, endpoint) -> None:
    """The header must come in time, to its last byte."""
    balancer, bound = relay(endpoint, FROM_HERE + '\ntimeouts = { header = "300ms" }')
    with Peer.connect(bound.address) as client:
        client.send(V1[:20])
        assert client.expect_cut() == b""
    assert balancer.access(listener="db")["reason"] == "request-timeout"


def test_everybody_else(relay, endpoint) -> None:
    """Refused by default; with `others = "plain"` served as themselves, whatever they send."""
    balancer, bound = relay(endpoint, 'proxy_protocol = ["192.0.2.0/24"]')
    with Peer.connect(bound.address) as client:
        client.expect_cut()
    assert balancer.access(listener="db")["reason"] == "proxy-header-bad"
    balancer, bound = relay(endpoint, 'proxy_protocol = { from = "192.0.2.0/24", others = "plain" }')
    with Peer.connect(bound.address) as client:
        client.send(V1)
        peer = endpoint.accept()
        assert peer.read_exactly(len(V1)) == V1
        peer.close()
    assert balancer.access(listener="db")["client"] == "127.0.0.1"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_endpoint_learns_the_client(relay, endpoint, version) -> None:
    """In front of each TCP connection, even if the client says nothing; with the address that it connected to."""
    _, bound = relay(endpoint, pool=f'proxy_protocol = "{version}"')
    with Peer.connect(bound.address) as client:
        ours, peer = client.socket.getsockname(), endpoint.accept()
        if version == "v1":
            expected = f"PROXY TCP4 127.0.0.1 127.0.0.1 {ours[1]} {bound.number}\r\n".encode()
            assert peer.read_exactly(len(expected)) == expected
        else:
            assert read_header(peer) == v2(ours, bound.address)
        client.send("question")
        assert peer.read_exactly(8) == b"question"


def test_addresses_and_tlvs_pass_from_in_to_out(relay, endpoint) -> None:
    """What a proxy said is passed on, but for what belonged to its header alone (padding)."""
    kept = b"\x02\0\x04shop" + b"\xea\0\x03abc"
    _, bound = relay(endpoint, FROM_HERE, 'proxy_protocol = "v2"')
    with Peer.connect(bound.address) as client:
        client.send(v2(("192.0.2.1", 56324), ("198.51.100.7", 443), kept + b"\x04\0\x02xx"), "payload")
        peer = endpoint.accept()
        assert read_header(peer) == v2(("192.0.2.1", 56324), ("198.51.100.7", 443), kept)
        assert peer.read_exactly(7) == b"payload"


def test_http_endpoints_learn_the_client_of_each_connection(web, endpoint) -> None:
    """A connection to an endpoint serves one client's connection only, and is kept for it."""
    serving = web(endpoint, pool='proxy_protocol = "v2"')
    address = ("127.0.0.1", serving.port.number)
    with Peer.connect(address) as first, Peer.connect(address) as second:
        peers = []
        for client in (first, second):
            client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n")
            peer = endpoint.accept()
            peers.append(peer)
            assert read_header(peer) == v2(client.socket.getsockname(), address)
            peer.read_request()
            peer.send(OK)
            assert client.read_response().text == "ok"
        for client, peer in ((second, peers[1]), (first, peers[0])):
            client.send("GET /again HTTP/1.1\r\nHost: t\r\n\r\n")
            assert peer.read_request().target == "/again"
            peer.send(OK)
            assert client.read_response().text == "ok"
        assert not endpoint.is_asked()


def test_health_checks_say_that_they_are_nobodys(run, endpoint, port) -> None:
    """LOCAL, so that the endpoint does not take Evenly for a client."""
    run(
        f'[listeners.web]\nbind = "{port()}"\n[pools.app]\nendpoints = "{endpoint}"\n'
        'health_check = "/healthz"\nproxy_protocol = "v2"\n'
    )
    peer = endpoint.accept()
    assert read_header(peer) == LOCAL
    assert peer.read_request().target == "/healthz"
