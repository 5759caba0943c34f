"""Certificates by the challenge `tls-alpn-01` (RFC 8737): over the TLS listeners themselves, with no port 80."""

import hashlib
import socket
import ssl
import threading

import pytest
from cryptography import x509
from evenly.certificates.over_tls import ACME_IDENTIFIER

from ..support.authority import TlsPeer
from ..support.pebble import issuing
from ..support.wire import DEADLINE, Peer
from .test_acme import PATIENCE, Site

RUN = """
workers = 2
state_dir = "{state}"
[acme]
terms_agreed = true
challenge = "tls-alpn-01"
resolver = "{resolver}"
issuers = {{ pebble = {issuer} }}
[certificates.site]
acme = ["shop.test", "www.shop.test"]
[listeners.secure]
bind = "{secure}"
{more}
[pools.app]
endpoints = ["{endpoint}"]
"""

ACME = ["acme-tls/1"]


class Gate:
    """Lies between an issuer and the listener, and lets nothing through before it is opened."""

    def __init__(self, to: tuple[str, int]) -> None:
        self.came, self._open = threading.Event(), threading.Event()
        self._to = to
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.number = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def open(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._open.set()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.came.set()
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        self._open.wait(PATIENCE)
        with client, socket.create_connection(self._to) as server:
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(1 << 16):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture
def site(port, servers, tmp_path) -> Site:
    return Site(port, servers("a")[0], tmp_path / "state")


def text(site: Site, pebble, more: str) -> str:
    """A file whose only listener speaks TLS."""
    return RUN.format(
        state=site.state, resolver=pebble.resolver, issuer=pebble.issuer(), secure=site.secure,
        endpoint=site.endpoint, more=more,
    )  # fmt: skip


def context(*protocols: str) -> ssl.SSLContext:
    """A client that believes everything, as issuers do here."""
    made = ssl._create_unverified_context()
    made.set_alpn_protocols(list(protocols))
    return made


def answer(site: Site, host: str, *protocols: str, only: ssl.TLSVersion | None = None) -> x509.Certificate:
    """What the client is shown that asks so, after which the connection has to be closed."""
    asking = context(*protocols)
    if only is not None:
        asking.maximum_version = only
    with TlsPeer(asking.wrap_socket(Peer.connect(site.secure.address).socket, server_hostname=host)) as client:
        assert client.session.selected_alpn_protocol() == ACME[0]
        assert client.session.recv(1) == b""
        return x509.load_der_x509_certificate(client.session.getpeercert(binary_form=True) or b"")


def refused(site: Site, host: str, *protocols: str) -> str:
    """The alert that a client gets."""
    with pytest.raises(ssl.SSLError) as alert, Peer.connect(site.secure.address) as client:
        context(*protocols).wrap_socket(client.socket, server_hostname=host)
    return str(alert.value).lower().replace("_", " ")


def in_pieces(site: Site, host: str, size: int) -> str | None:
    """The protocol that is agreed on with a client whose ClientHello comes in pieces."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context(*ACME).wrap_bio(incoming, outgoing, server_hostname=host)
    with Peer.connect(site.secure.address) as peer:
        peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                client.do_handshake()
                peer.socket.sendall(outgoing.read())
                return client.selected_alpn_protocol()
            except ssl.SSLWantReadError:
                while piece := outgoing.read(size):
                    peer.socket.sendall(piece)
                incoming.write(peer.socket.recv(1 << 16))


def shows_an_answer(certificate: x509.Certificate, host: str) -> bool:
    """Whether it is as RFC 8737, section 3, wants it."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    proof = certificate.extensions.get_extension_for_oid(ACME_IDENTIFIER)
    value = proof.value.public_bytes()
    return list(names) == [x509.DNSName(host)] and proof.critical and value[:2] == b"\x04\x20" and len(value) == 34


def test_issuers_are_answered_by_every_worker_and_nobody_else_is(run, site, authority) -> None:
    """Here on a listener that wants client certificates and speaks TLS 1.3 only; issuers need neither."""
    gate = Gate(site.secure.address)
    mutual = f'tls = {{ certificates = "site", client_ca = "{authority.bundle}" }}'
    shown = authority.issue("client.test", file="client")
    try:
        with issuing(authority, site.plain, gate) as pebble:
            balancer = run(text(site, pebble, mutual))
            assert refused(site, "shop.test", *ACME).find("no application protocol") > 0, "nothing is asked yet"
            assert gate.came.wait(PATIENCE)
            for _ in range(20):
                assert shows_an_answer(answer(site, "shop.test", *ACME), "shop.test")
                assert shows_an_answer(answer(site, "WWW.shop.test", *ACME), "www.shop.test")
            assert shows_an_answer(answer(site, "shop.test", *ACME, only=ssl.TLSVersion.TLSv1_2), "shop.test")
            for size in (1, 7, 300):
                assert in_pieces(site, "shop.test", size) == ACME[0]
            assert "no application protocol" in refused(site, "other.test", *ACME)
            ordinary = context("http/1.1", *ACME)
            ordinary.load_cert_chain(shown.cert, shown.key)
            plain = Peer.connect(site.secure.address)
            with TlsPeer(ordinary.wrap_socket(plain.socket, server_hostname="shop.test")) as client:
                assert client.session.selected_alpn_protocol() == "http/1.1"
                assert b"placeholder" in (client.session.getpeercert(binary_form=True) or b"")
                assert client.ask(host="shop.test").text == "a"
            gate.open()
            balancer.wait_log("certificates replaced", deadline=PATIENCE)
            trusting = pebble.context()
            trusting.load_cert_chain(shown.cert, shown.key)
            with site.connect(trusting) as client:
                assert client.shown == {"shop.test", "www.shop.test"}
            balancer.until(lambda: "no application protocol" in refused(site, "shop.test", *ACME), DEADLINE)
    finally:
        gate.close()


def test_over_a_tcp_listener(run, site, authority) -> None:
    """Whoever terminates TLS can answer; what is inside of it goes to the pool as before."""
    with issuing(authority, site.plain, site.secure) as pebble:
        balancer = run(text(site, pebble, 'protocol = "tcp"\npool = "app"\ntls = { certificates = "site" }'))
        balancer.wait_log("certificates replaced", deadline=PATIENCE)
        with site.connect(pebble.context(), "www.shop.test") as client:
            assert client.ask(host="www.shop.test").text == "a"


def test_a_wrong_answer_is_refused_by_the_issuer(run, site, authority) -> None:
    """So that the tests above show something: pebble looks at the proof."""
    imposter = _Imposter(authority)
    try:
        with issuing(authority, site.plain, imposter) as pebble:
            balancer = run(text(site, pebble, 'tls = { certificates = "site" }'))
            problem = balancer.wait_log("certificate not issued", deadline=PATIENCE)["problem"]
            assert "pebble did not accept the answers" in problem
    finally:
        imposter.close()


class _Imposter:
    """Speaks the protocol, and shows a certificate with no proof in it."""

    def __init__(self, authority) -> None:
        self._context = authority.server(authority.issue("shop.test"), alpn=ACME)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.number = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                self._context.wrap_socket(client, server_side=True).close()
            except OSError:
                client.close()


def test_the_proof_is_the_hash_of_the_key_authorization() -> None:
    """RFC 8737, section 3."""
    from datetime import UTC, datetime

    from evenly.certificates.over_tls import answer_over_tls

    made = x509.load_pem_x509_certificate(
        answer_over_tls("shop.test", "token.thumbprint", datetime.now(UTC)).chain.encode()
    )
    proof = made.extensions.get_extension_for_oid(ACME_IDENTIFIER)
    assert proof.critical
    assert proof.value.public_bytes()[2:] == hashlib.sha256(b"token.thumbprint").digest()
