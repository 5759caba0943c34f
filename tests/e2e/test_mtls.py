"""Clients that show certificates: who is let in, what endpoints are told, and what nobody can make up."""

import base64
import hashlib
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding

from ..support.authority import Authority, Files
from ..support.balancer import Balancer, run_verb
from ..support.endpoint import OK
from ..support.http2 import Http2Client
from ..support.http3 import Http3Client
from ..support.ports import Port

RUN = """
workers = 1
access_log = "-"
[listeners.web]
bind = "{bound}"
tls = {{ certificates = "site", policy = "intermediate", client_ca = "{ca}"{more} }}
{listener}
[pools.app]
endpoints = ["{endpoint}"]
{site}
{routes}
"""

Start = Callable[..., tuple[Balancer, Port]]


@pytest.fixture
def guarded(run, port, authority, endpoint) -> Start:
    """Starts a balancer that asks for certificates in front of an endpoint that the test plays."""

    def start(more: str = "", listener: str = "", routes: str = "", to: object = endpoint) -> tuple[Balancer, Port]:
        bound, site = port(), authority.issue("shop.test").table("site")
        parts = {"more": more, "listener": listener, "routes": routes, "site": site, "endpoint": to}
        return run(RUN.format(bound=bound, ca=authority.bundle, **parts)), bound

    return start


def der(files: Files) -> bytes:
    """A certificate without its chain."""
    return x509.load_pem_x509_certificate(files.cert.read_bytes()).public_bytes(Encoding.DER)


def refused(authority: Authority, bound: Port, version: ssl.TLSVersion, shown: Files | None = None) -> None:
    """The client is not served; under TLS 1.3 it learns why behind the handshake."""
    context = authority.context(shown=shown)
    context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)), authority.connect(bound, context=context) as client:
        client.ask()


VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@VERSIONS
def test_whom_endpoints_are_told_of(guarded, endpoint, authority, version) -> None:
    """Subject, names and fingerprint, in place of whatever a client writes there, however it spells it."""
    balancer, bound = guarded(more=", forward_client_certificate = true")
    ops = authority.issue("ops.test", "spiffe://test/ops", "10.0.0.7")
    context = authority.context(shown=ops)
    context.minimum_version = context.maximum_version = version
    with authority.connect(bound, context=context) as client:
        client.send(
            "GET / HTTP/1.1\r\nHost: test\r\nX-Client-Cert-Subject: CN=root\r\nx_client_cert_san: DNS:root\r\n"
            "X-Client-Cert-Verify: success\r\nClient-Cert: :AAAA:\r\nClient-Cert-Chain: :AAAA:\r\n"
            "X-Client-Cert: 1\r\n\r\n"
        )
        _, request = endpoint.serve()
        assert client.read_response().text == "ok"
    fingerprint = hashlib.sha256(der(ops)).hexdigest()
    assert request.one("X-Client-Cert-Verify") == "success"
    assert request.one("X-Client-Cert-Subject") == "CN=ops.test"
    assert request.one("X-Client-Cert-San") == "DNS:ops.test, URI:spiffe://test/ops, IP:10.0.0.7"
    assert request.one("X-Client-Cert-Fingerprint") == fingerprint
    assert request.one("Client-Cert") == f":{base64.b64encode(der(ops)).decode()}:"
    assert (request.one("x_client_cert_san"), request.one("Client-Cert-Chain")) == (None, None)
    assert request.one("X-Client-Cert") == "1"
    line = balancer.access(status=200)
    assert (line["client_subject"], line["client_fingerprint"]) == ("CN=ops.test", fingerprint)


def of_http3(files: Files) -> dict[str, Any]:
    """Shows a certificate over QUIC."""
    shown, *chain = x509.load_pem_x509_certificates(files.cert.read_bytes())
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    return {"certificate": shown, "certificate_chain": chain, "private_key": key}


def test_over_http3(guarded, endpoint, authority, tmp_path) -> None:
    """The same, and who shows none, one of nobody who is believed, or a revoked one, is not served."""
    gone, ops = authority.issue("gone.test"), authority.issue("ops.test")
    crl = authority.revoke(gone)
    balancer, bound = guarded(more=f', crl = "{crl}"', listener="http3 = true")
    with Http3Client(bound.address, authority.bundle, **of_http3(ops)) as client:
        stream = client.begin("/", ("x-client-cert-subject", "CN=root"))
        _, request = endpoint.serve()
        assert client.answer(stream).status == 200
    assert request.one("X-Client-Cert-Subject") == "CN=ops.test"
    assert balancer.access(status=200)["client_subject"] == "CN=ops.test"
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other").issue("ops.test")
    for shown, reason in [(None, "missing"), (stranger, "untrusted"), (gone, "revoked")]:
        options = of_http3(shown) if shown else {}
        with Http3Client(bound.address, authority.bundle, waits=False, **options) as client:
            client.end()
            assert not client.answers
        assert balancer.access(reason=f"client-certificate-{reason}")


def test_over_http2(guarded, endpoint, authority) -> None:
    """A stream is as much its client's as a connection."""
    _, bound = guarded()
    context = authority.context(shown=authority.issue("ops.test"), alpn=["h2"])
    with authority.connect(bound, context=context) as client, Http2Client(client.session) as connection:
        stream = connection.begin("/", ("x-client-cert-subject", "CN=root"))
        _, request = endpoint.serve()
        assert connection.wait(stream).text == "ok"
    assert request.one("X-Client-Cert-Subject") == "CN=ops.test"


@VERSIONS
def test_resumed_sessions_remember_who_it_is(guarded, endpoint, authority, version) -> None:
    """The certificate is not shown again; it is in the ticket."""
    balancer, bound = guarded()
    context = authority.context(shown=authority.issue("ops.test"))
    context.minimum_version = context.maximum_version = version
    session = None
    for _ in range(2):
        with authority.connect(bound, context=context, session=session) as client:
            client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            peer, request = endpoint.serve("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            assert client.read_response().status == 204
            peer.close()
            session = client.session.session
        assert request.one("X-Client-Cert-Subject") == "CN=ops.test"
    balancer.access(tls_resumed=True)


@VERSIONS
def test_who_is_refused_and_why(guarded, authority, tmp_path, version) -> None:
    """Each cause is counted by itself."""
    (tmp_path / "other").mkdir()
    revoked = authority.issue("gone.test")
    balancer, bound = guarded(more=f', crl = "{authority.revoke(revoked)}"')
    for reason, shown in [
        ("client-certificate-missing", None),
        ("client-certificate-untrusted", Authority(tmp_path / "other").issue("ops.test")),
        ("client-certificate-expired", authority.issue("late.test", days=-1)),
        ("client-certificate-revoked", revoked),
    ]:
        refused(authority, bound, version, shown)
        balancer.access(reason=reason)
        assert balancer.metric("evenly_terminations_total", reason=reason) == 1


def test_replaced_lists_hold_for_new_connections_and_end_sessions(guarded, endpoint, authority) -> None:
    """Without a reload; a session that could be resumed must not let in who has been revoked meanwhile."""
    ops = authority.issue("ops.test")
    balancer, bound = guarded(more=f', crl = "{authority.revoke()}"')
    context = authority.context(shown=ops)
    with authority.connect(bound, context=context) as client:
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        peer, _ = endpoint.serve()
        assert client.read_response().text == "ok"
        session = client.session.session
        authority.revoke(ops)
        balancer.wait_log("certificates replaced")
        again = {"context": context, "session": session}
        with pytest.raises((ssl.SSLError, ConnectionError)), authority.connect(bound, **again) as other:
            other.ask()
        balancer.access(reason="client-certificate-revoked")
        # Who is in stays in.
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        peer.read_request()
        peer.send(OK)
        assert client.read_response().text == "ok"


def test_optional_certificates_and_routes(guarded, authority, servers) -> None:
    """Routes go by subject, names and fingerprint, or by whether there is one at all."""
    ops, billing = authority.issue("ops.test"), authority.issue("other.test", "spiffe://test/billing/1")
    fingerprint = hashlib.sha256(der(billing)).hexdigest()

    def route(name: str, condition: str = "") -> str:
        return f'[[routes]]\npath = "/{name}"\nrespond = {{ body = "{name}" }}\n{condition}\n'

    routes = (
        route("subject", 'client_certificate = { subject = "CN=ops.test" }')
        + route("san", 'client_certificate = { san = { regex = "spiffe://test/billing/.*" } }')
        + route("fingerprint", f'client_certificate = {{ fingerprint = "{fingerprint}" }}')
        + route("none", "client_certificate = { subject = false }")
    )
    _, bound = guarded(more=', client_auth = "optional"', routes=routes)

    def served(shown: Files | None) -> set[str]:
        with authority.connect(bound, shown=shown) as client:
            paths = ("subject", "san", "fingerprint", "none")
            return {path for path in paths if client.ask(f"/{path}").status == 200}

    assert served(ops) == {"subject"}
    assert served(billing) == {"san", "fingerprint"}
    assert served(None) == {"none"}


def test_endpoints_are_told_that_there_is_none(guarded, endpoint, authority) -> None:
    """Where it is for them to decide."""
    _, bound = guarded(more=', client_auth = "optional"')
    with authority.connect(bound) as client:
        client.send("GET / HTTP/1.1\r\nHost: test\r\nX-Client-Cert-Subject: CN=root\r\n\r\n")
        _, request = endpoint.serve()
        assert client.read_response().text == "ok"
    assert (request.one("X-Client-Cert-Verify"), request.one("X-Client-Cert-Subject")) == ("none", None)


def test_who_was_not_asked_is_asked_from_a_reload_on(guarded, endpoint, authority) -> None:
    """A connection without a certificate ends where one is required now, and endpoints are told where it is not."""
    balancer, bound = guarded()
    asking = balancer.file.read_text()
    line = f', client_ca = "{authority.bundle}"'
    balancer.reload(asking.replace(line, ""))
    with authority.connect(bound) as client:

        def asked() -> str | None:
            client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            _, request = endpoint.serve("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            assert client.read_response().text == "ok"
            return request.one("X-Client-Cert-Verify")

        assert asked() is None
        balancer.reload(asking.replace(line, line + ', client_auth = "optional"'))
        assert asked() == "none"
        balancer.reload(asking)
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert client.read_response().status == 503
        client.expect_end()


def test_a_connection_of_http3_ends_where_one_is_required_now(h3, servers, authority) -> None:
    """All its streams would have the certificate that it has not shown."""
    client, serving = h3(*servers("a"))
    assert client.get("/").status == 200
    tls = 'tls = { certificates = "site"'
    text = serving.balancer.file.read_text()
    serving.balancer.reload(text.replace(tls, f'{tls}, client_ca = "{authority.bundle}"'))
    assert client.end() == 0x100


@pytest.mark.parametrize("trusted", [False, True])
def test_listeners_that_ask_nobody_pass_nothing_on(web, endpoint, trusted) -> None:
    """But for a trusted proxy's word, which terminates TLS itself."""
    listener = 'trusted_proxies = ["127.0.0.0/8"]' if trusted else ""
    client = web(endpoint, listener=listener).connect()
    client.send(
        "GET / HTTP/1.1\r\nHost: test\r\nX-Client-Cert-Subject: CN=ops\r\nClient-Cert: :AAAA:\r\n"
        "X_Client_Cert_Subject: CN=ops\r\nx-client_cert-verify: success\r\nClient_Cert: :AAAA:\r\n\r\n"
    )
    _, request = endpoint.serve()
    assert client.read_response().text == "ok"
    expected = ("CN=ops", ":AAAA:") if trusted else (None, None)
    assert (request.one("X-Client-Cert-Subject"), request.one("Client-Cert")) == expected
    assert not [name for name in ("X_Client_Cert_Subject", "x-client_cert-verify", "Client_Cert") if request.one(name)]


def test_tcp_listeners_ask_too(run, port, authority, endpoint) -> None:
    """Who has no certificate reaches no endpoint."""
    bound, site = port(), authority.issue("shop.test")
    balancer = run(
        f'workers = 1\naccess_log = "-"\n[listeners.db]\nbind = "{bound}"\nprotocol = "tcp"\npool = "app"\n'
        f'tls = {{ certificates = "site", client_ca = "{authority.bundle}" }}\n'
        f'[pools.app]\nendpoints = "{endpoint}"\n{site.table("site")}'
    )
    refused(authority, bound, ssl.TLSVersion.TLSv1_3)
    assert not endpoint.is_asked()
    with authority.connect(bound, shown=authority.issue("ops.test")) as client:
        client.send("hello")
        assert endpoint.accept().read_exactly(5) == b"hello"
    assert balancer.access(client_subject="CN=ops.test")["protocol"] == "TCP"


def test_mistakes_are_found_before_anybody_is_let_in(tmp_path, authority) -> None:
    """A list that is none is refused; one that is past its time is a warning."""

    def checked(crl: object, expect: int) -> Any:
        file = tmp_path / "evenly.toml"
        site = authority.issue("shop.test").table("site")
        more = f', crl = "{crl}"'
        parts = {"more": more, "listener": "", "routes": "", "site": site, "endpoint": "127.0.0.1:1"}
        file.write_text(RUN.format(bound="127.0.0.1:0", ca=authority.bundle, **parts))
        return run_verb("check", str(file), expect=expect)

    assert "has no revocation list" in checked(authority.bundle, 2).stderr
    ended = checked(authority.revoke(ended=True), 0)
    assert "should have been replaced" in ended.stdout + ended.stderr
