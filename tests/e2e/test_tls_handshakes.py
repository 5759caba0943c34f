"""TLS handshakes have a deadline, a rate and reasons; sessions are resumed, on another node too."""

import contextlib
import re
import socket
import ssl
import subprocess

import pytest

from ..support.programs import program
from ..support.wire import DEADLINE, Peer

SECURE = 'tls = { certificates = "site" }'


@pytest.fixture
def secure(web, authority):
    """A balancer with one HTTPS listener for `shop.test` in front of endpoints."""
    site = authority.issue("shop.test")

    def start(*endpoints: object, tls: str = "", top: str = 'access_log = "-"', routes: str = "", listener: str = ""):
        listener += f'\ntls = {{ certificates = "site"{tls} }}'
        return web(*endpoints, listener=listener, top=top, routes=site.table("site") + routes)

    return start


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["silent", "begun"])
def test_slow_ones_are_cut(secure, servers, sent) -> None:
    """Whoever does not get through the handshake in time is cut, and counted with a reason."""
    serving = secure(*servers("a"), tls=', handshake_timeout = "200ms"')
    with serving.connect() as client:
        client.send(sent)
        client.expect_cut()
    serving.balancer.access(reason="tls-timeout")
    assert serving.balancer.metric("evenly_tls_handshake_failures_total", listener="web") == 1
    assert serving.balancer.metric("evenly_terminations_total", reason="tls-timeout") == 1
    assert serving.balancer.metric("evenly_slow_clients_total") == 1


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\nHost: t\r\n\r\n", b"\x80\x00" * 40, b"\x16\x03\x01\xff\xff" + b"x" * 70_000]
)
def test_what_is_no_tls_is_refused(secure, servers, authority, sent) -> None:
    """At once, with an alert or without; others are served."""
    serving = secure(*servers("a"))
    with serving.connect() as client:
        with contextlib.suppress(OSError):
            client.send(sent)
        client.expect_cut()
    serving.balancer.access(reason="tls-bad")
    with authority.connect(serving.port) as client:
        assert client.ask().text == "a"


def test_a_client_that_breaks_off_or_does_not_trust(secure, servers) -> None:
    """Each with its reason."""
    serving = secure(*servers("a"))
    with serving.connect() as client:
        client.send(b"\x16\x03\x01\x02")
    serving.balancer.access(reason="tls-closed")
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(serving.connect().socket, server_hostname="shop.test")
    serving.balancer.access(reason="tls-refused")


def test_nothing_in_common(secure, servers, authority) -> None:
    """A client that speaks HTTP/3 only is told that by an alert."""
    serving = secure(*servers("a"))
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        authority.connect(serving.port, alpn=["h3"])
    serving.balancer.access(reason="tls-no-match")


def test_no_cipher_in_common(secure, servers) -> None:
    """That is what the client and the log are told, and not that there is no such name."""
    serving = secure(*servers("a"))
    target = "{}:{}".format(*serving.port.address)
    offer = ["-connect", target, "-servername", "shop.test", "-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"]
    done = subprocess.run(
        [program("openssl"), "s_client", *offer],
        input="",
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert "handshake failure" in done.stderr
    serving.balancer.access(reason="tls-no-match")


def test_one_client_has_a_rate(secure, servers, authority) -> None:
    """Handshakes beyond it are turned away without costing a signature."""
    serving = secure(*servers("a"), tls=', max_handshakes_per_client = "3/h"')
    for _ in range(3):
        with authority.connect(serving.port) as client:
            assert client.ask().text == "a"
    with pytest.raises(OSError):
        authority.connect(serving.port)
    serving.balancer.access(reason="tls-limit")
    # The limit outlives a reload, which would otherwise be a way around it.
    serving.balancer.reload()
    with pytest.raises(OSError):
        authority.connect(serving.port)


def resumed(serving, context: ssl.SSLContext, session: ssl.SSLSession | None, name: str = "shop.test"):
    """A connection with a session, whether it was resumed, and the session to go on with."""
    raw = socket.create_connection(serving.port.address)
    sock = context.wrap_socket(raw, server_hostname=name, session=session, suppress_ragged_eofs=False)
    peer = Peer(sock)
    assert peer.ask().status == 200
    with peer:
        return sock.session_reused, sock.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(secure, servers, authority, version) -> None:
    """After a reload too; and counted."""
    serving = secure(*servers("a"), tls=', policy = "intermediate"')
    context = authority.context()
    context.maximum_version = version
    was_resumed, session = resumed(serving, context, None)
    assert not was_resumed
    was_resumed, session = resumed(serving, context, session)
    assert was_resumed
    serving.balancer.reload()
    assert resumed(serving, context, session)[0]
    assert serving.balancer.metric("evenly_tls_handshakes_total", resumed="true") == 2
    serving.balancer.access(tls_resumed=True)


def test_sessions_are_not_resumed_without_tickets(secure, servers, authority) -> None:
    """`session_tickets = false`: none are given out, and none accepted."""
    serving = secure(*servers("a"), tls=", session_tickets = false")
    context = authority.context()
    _, session = resumed(serving, context, None)
    assert session is None or not resumed(serving, context, session)[0]


def test_another_node_resumes(secure, servers, authority, tmp_path) -> None:
    """With one secret, a session that began on one node goes on on another; with another secret it does not."""
    shared, other = tmp_path / "shared", tmp_path / "other"
    for path, text in ((shared, "0123456789abcdef"), (other, "fedcba9876543210")):
        path.write_text(text)
        path.chmod(0o600)
    upstream = servers("a")
    table = '[session_tickets]\nsecret_file = "{}"\n'
    nodes = [secure(*upstream, routes=table.format(path)) for path in (shared, shared, other)]
    context = authority.context()
    _, session = resumed(nodes[0], context, None)
    assert resumed(nodes[1], context, session)[0]
    _, session = resumed(nodes[0], context, None)
    assert not resumed(nodes[2], context, session)[0]


def test_the_clients_address_comes_before_tls(secure, endpoint, authority) -> None:
    """A PROXY protocol header stands before the ClientHello, and names the client."""
    serving = secure(endpoint, listener='proxy_protocol = "127.0.0.1/32"')
    raw = socket.create_connection(serving.port.address)
    raw.sendall(b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n")
    with Peer(authority.context().wrap_socket(raw, server_hostname="shop.test")) as client:
        client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        _, request = endpoint.serve()
        assert request.one("X-Forwarded-For") == "192.0.2.1"
        assert client.read_response().text == "ok"


def test_hello_byte_by_byte(secure, servers, authority) -> None:
    """A handshake in pieces is as good as one in one piece."""
    serving = secure(*servers("a"))
    context = authority.context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="shop.test")
    with serving.connect() as client:

        def step(action):
            while True:
                try:
                    return action()
                except ssl.SSLWantReadError:
                    for byte in outgoing.read():
                        client.send(bytes([byte]))
                    incoming.write(client.receive())

        step(tls.do_handshake)
        tls.write(b"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
        for byte in outgoing.read():
            client.send(bytes([byte]))
        got = b""
        while not got.endswith(b"\r\n\r\na"):
            got += step(lambda: tls.read(4096))


def test_openssl_agrees_on_the_policy(secure, servers, authority) -> None:
    """openssl s_client: the chain is whole, early data is off, and the groups are the policy's."""
    serving = secure(*servers("a"), tls=', policy = "intermediate"')
    base = [program("openssl"), "s_client", "-connect", str(serving.port), "-servername", "shop.test",
            "-CAfile", str(authority.bundle), "-verify_return_error"]  # fmt: skip

    def said(*options: str) -> str:
        done = subprocess.run([*base, *options], input="", capture_output=True, text=True, timeout=30)
        return done.stdout + done.stderr

    whole = said()
    assert "Verification: OK" in whole
    assert "TLSv1.3" in whole
    assert "Max Early Data: 0" in whole or "Max Early Data" not in whole
    assert re.search(r"X25519", whole)
    assert "Cipher is (NONE)" in said("-tls1_1")
    assert "Cipher is (NONE)" in said("-tls1_2", "-cipher", "AES128-GCM-SHA256"), "no key exchange without secrecy"
    assert "Cipher is (NONE)" in said("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"), "no CBC"
    assert "secp384r1" in said("-groups", "P-384")
    assert "No renegotiation" in said("-tls1_2") or "Secure Renegotiation IS" in said("-tls1_2")
