"""Early data (0-RTT): only for routes that are for it, once only, and told to endpoints."""

import select
import socket

import pytest

from ..support.early import OpenSsl, Relay
from ..support.http2 import Http2Client
from ..support.http3 import Http3Client
from ..support.wire import Peer

ROUTES = """
[[routes]]
path = "/safe*"
pool = "app"
early_data = true
retry = { attempts = 3, on = ["4xx"] }
[[routes]]
pool = "app"
"""
# Each request of an endpoint's own connection, so that a request shows as one.
OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
DATA_OF_NO_STREAM = bytes(9)
UDP = socket.AF_INET, socket.SOCK_DGRAM
TOO_EARLY = "HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n"


def request(path: str, *fields: str, method: str = "GET", body: str = "") -> bytes:
    """A request of HTTP/1.1, the last of its connection."""
    lines = [f"{method} {path} HTTP/1.1", "Host: shop.test", "Connection: close", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@pytest.fixture
def early(web, endpoint, authority, tmp_path):
    """A balancer, and clients with a session: `serving, send = early()`; `send(bytes)` is the client and its relay."""
    opened: list = []

    def start(*options: str, **parts: str):
        parts = {"listener": 'tls = { certificates = "site" }', "routes": ROUTES, "top": 'access_log = "-"', **parts}
        parts["routes"] += authority.issue("shop.test").table("site")
        serving = web(endpoint, **parts)
        session = tmp_path / "session"

        def send(said: bytes) -> tuple[OpenSsl, Relay]:
            relay = Relay(serving.port.address)
            client = OpenSsl(relay.address, authority, session, early=said, options=options)
            opened.extend([client, relay])
            return client, relay

        def begin(said: bytes) -> None:
            """Gets a session."""
            with OpenSsl(serving.port.address, authority, session, options=options) as client:
                client.say(said)
                endpoint.serve(OK)
                if "h2" in options:
                    # A frame that ends the connection, whereupon openssl tells what it has.
                    client.say(DATA_OF_NO_STREAM)
                assert client.wait("Max Early Data").strip() == "Max Early Data: 16384"

        begin(h2_bytes("/first") if "h2" in options else request("/first"))
        return serving, send

    yield start
    for each in opened:
        each.__exit__()


def h2_bytes(*paths: str) -> bytes:
    """What a client of HTTP/2 says first, with requests for these paths."""
    near, far = socket.socketpair()
    with far, Http2Client(near) as client:
        for path in paths:
            client.begin(path)
        return far.recv(1 << 16)


def counted(serving, outcome: str) -> float:
    return serving.balancer.metric("evenly_tls_early_requests_total", listener="web", outcome=outcome)


def test_a_safe_request_is_done_at_once(early, endpoint) -> None:
    """Before the handshake is over: the endpoint knows that, and the answer is on its way when the client finishes."""
    serving, send = early()
    client, relay = send(request("/safe", "Early-Data: 0", "X-A: b"))
    _, asked = endpoint.serve(OK)
    assert (asked.first, asked.all("Early-Data"), asked.one("X-A")) == ("GET /safe HTTP/1.1", ["1"], "b")
    line = serving.balancer.access(target="/safe")
    assert (line["early_data"], line["tls_resumed"], line["status"]) == (True, True, 200)
    relay.release()
    client.wait("Early data was accepted")
    client.wait("HTTP/1.1 200 OK")
    assert (counted(serving, "at-once"), counted(serving, "held")) == (1, 0)
    assert "early_data" not in serving.balancer.access(target="/first")


@pytest.mark.parametrize(
    "said",
    [
        request("/other"),
        request("/safe", "Content-Length: 2", method="POST", body="hi"),
        request("/safe", "Content-Length: 2", body="hi"),
        request("/safe", method="DELETE"),
    ],
    ids=["route", "post", "body", "delete"],
)
def test_others_wait_for_the_end_of_the_handshake(early, endpoint, said) -> None:
    """And are then as any other. What the client itself says of early data of its own clients passes."""
    serving, send = early()
    client, relay = send(said.replace(b"Connection", b"Early-Data: 1\r\nConnection"))
    serving.balancer.until(lambda: counted(serving, "held") == 1)
    assert not endpoint.is_asked()
    relay.release()
    _, asked = endpoint.serve(OK)
    assert (asked.all("Early-Data"), asked.body) == (["1"], b"hi" if b"hi" in said else b"")
    client.wait("HTTP/1.1 200 OK")
    assert counted(serving, "at-once") == 0
    assert "early_data" not in serving.balancer.access(target=asked.target)


def test_without_a_field_of_its_own(early, endpoint) -> None:
    """A request that had to wait is no early one to the endpoint."""
    serving, send = early()
    _, relay = send(request("/other"))
    serving.balancer.until(lambda: counted(serving, "held") == 1)
    relay.release()
    assert endpoint.serve(OK)[1].one("Early-Data") is None


def test_what_was_recorded_is_refused(early, endpoint) -> None:
    """Sent again, byte by byte, it is a handshake like any other, and nobody hears of the request."""
    serving, send = early()
    client, relay = send(request("/safe"))
    endpoint.serve(OK)
    relay.release()
    client.wait("HTTP/1.1 200 OK")
    for _ in range(2):
        with Peer.connect(serving.port.address) as again:
            again.send(relay.first)
            assert again.read_exactly(6)[5] == 2, "a ServerHello"
            # Behind it, as the worker takes one thing after another.
            assert counted(serving, "at-once") == 1
            assert not endpoint.is_asked()
    assert serving.balancer.metric("evenly_tls_early_requests_total", listener="web") == 1


def test_a_client_that_does_not_finish_is_cut(early, endpoint) -> None:
    """A request that waits has the time that a handshake has."""
    tls = 'tls = { certificates = "site", handshake_timeout = "500ms" }'
    serving, send = early(listener=tls)
    send(request("/other"))
    assert serving.balancer.access(reason="tls-timeout")["protocol"] == "HTTP/1.1"
    assert not endpoint.is_asked()


def test_too_early_is_for_the_client(early, endpoint) -> None:
    """It is passed on and never tried again, whatever the policy says of its kind."""
    serving, send = early()
    client, relay = send(request("/safe"))
    endpoint.serve(TOO_EARLY)
    relay.release()
    client.wait("HTTP/1.1 425 Too Early")
    assert serving.balancer.access(target="/safe")["attempts"] == 1


def test_http2(early, endpoint) -> None:
    """Request by request: one is done at once, and another on the same connection waits."""
    serving, send = early("-alpn", "h2", listener='tls = { certificates = "site" }')
    _, relay = send(h2_bytes("/safe", "/other"))
    _, asked = endpoint.serve(OK)
    assert (asked.target, asked.one("Early-Data")) == ("/safe", "1")
    line = serving.balancer.access(target="/safe")
    assert (line["protocol"], line["early_data"]) == ("HTTP/2.0", True)
    serving.balancer.until(lambda: counted(serving, "held") == 1)
    assert not endpoint.is_asked()
    relay.release()
    _, asked = endpoint.serve(OK)
    assert (asked.target, asked.one("Early-Data")) == ("/other", None)
    assert "early_data" not in serving.balancer.access(target="/other")


def test_http3(h3, endpoint) -> None:
    """The same over QUIC."""
    client, serving = h3(endpoint, routes=ROUTES)
    client.until(lambda: client.tickets)
    assert client.tickets[0].max_early_data_size == 0xFFFFFFFF
    again = serving.h3(ticket=client.tickets[0], waits=False)
    safe, other = again.begin("/safe"), again.begin("/other")
    # The client does nothing by itself, so its handshake is not over.
    _, asked = endpoint.serve(OK)
    assert (asked.target, asked.one("Early-Data")) == ("/safe", "1")
    assert serving.balancer.access(target="/safe")["early_data"] is True
    serving.balancer.until(lambda: counted(serving, "held") == 1)
    assert not endpoint.is_asked()
    assert again.answer(safe).status == 200
    again.until(lambda: again.is_agreed)
    _, asked = endpoint.serve(OK)
    assert (asked.target, asked.one("Early-Data")) == ("/other", None)
    assert again.answer(other).status == 200
    assert again.is_resumed


def test_what_was_recorded_over_quic_is_refused(h3, endpoint, authority) -> None:
    """Packets that are sent a second time are a handshake like any other."""
    client, serving = h3(endpoint, routes=ROUTES)
    client.until(lambda: client.tickets)
    text = serving.balancer.file.read_text()
    # Until the first connection is forgotten, its packets are nothing new.
    serving.balancer.reload(text.replace('certificates = "site"', 'certificates = "site", handshake_timeout = "500ms"'))
    with socket.socket(*UDP) as sink:
        sink.bind(("127.0.0.1", 0))
        with Http3Client(sink.getsockname(), authority.bundle, ticket=client.tickets[0], waits=False) as recorded:
            recorded.begin("/safe")
            packets = recorded.sent
    with socket.socket(*UDP) as first, socket.socket(*UDP) as second:
        for packet in packets:
            first.sendto(packet, serving.port.address)
        assert endpoint.serve(OK)[1].one("Early-Data") == "1"

        def is_answered() -> bool:
            for packet in packets:
                second.sendto(packet, serving.port.address)
            return bool(select.select([second], [], [], 0.1)[0])

        serving.balancer.until(is_answered, deadline=30)
    # Behind them, as the worker takes one packet after another.
    serving.h3()
    assert (counted(serving, "at-once"), counted(serving, "held")) == (1, 0)
    assert not endpoint.is_asked()


def test_a_reload_keeps_sessions_unless_they_promise_too_much(early, endpoint) -> None:
    """Clients may rely on limits that they know from before: with others they begin anew."""
    serving, send = early()
    text = serving.balancer.file.read_text()
    serving.balancer.reload(text.replace("attempts = 3", "attempts = 2"))
    client, relay = send(request("/safe"))
    endpoint.serve(OK)
    relay.release()
    client.wait("Early data was accepted")
    assert serving.balancer.metric("evenly_tls_sessions", listener="web") > 0
    serving.balancer.reload(text.replace("[pools.app]", "limits = { streams = 7 }\n[pools.app]"))
    assert serving.balancer.metric("evenly_tls_sessions", listener="web") == 0
