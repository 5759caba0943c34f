"""Certificates on demand: a client that asks for a host which nobody wrote down waits in its handshake, while a service
is asked and the certificate is issued."""

import json
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from evenly.config.self_signed import PLACEHOLDER

from ..support.authority import TlsPeer
from ..support.balancer import run_verb
from ..support.pebble import issuing
from ..support.wire import Peer
from .test_acme import PATIENCE, Site

RUN = """
workers = 2
state_dir = "{state}"
[acme]
terms_agreed = true
challenge = "tls-alpn-01"
resolver = "{resolver}"
issuers = {{ pebble = {issuer} }}
[certificates.customers]
acme = {{ on_demand = {{ hosts = ["shop.test", "*.shop.test"], ask = "{ask}"{more} }} }}
[listeners.secure]
bind = "{secure}"
tls = {{ certificates = "customers", handshake_timeout = "{timeout}"{tls} }}
[pools.app]
endpoints = ["{endpoint}"]
"""


class Service:
    """Says which hosts are ours: 200 for those that are `allowed`, nothing for "silent", and an error for "broken"."""

    def __init__(self) -> None:
        self.allowed: set[str] = set()
        self.asked: list[str] = []
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/is-ours?key=1"

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                (host,) = query["domain"]
                service.asked.append(host)
                if host.startswith("silent."):
                    service.released.wait()
                broken = host.startswith("broken.")
                self.send_response(500 if broken else 200 if host in service.allowed else 403)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        return Handler


@pytest.fixture
def service() -> Iterator[Service]:
    serving = Service()
    yield serving
    serving.close()


@pytest.fixture
def site(port, servers, tmp_path) -> Site:
    return Site(port, servers("a")[0], tmp_path / "state")


def text(site: Site, pebble, service: Service, *, more="", timeout="60s", tls="") -> str:
    """A file without any host's name."""
    return RUN.format(
        state=site.state, resolver=pebble.resolver, issuer=pebble.issuer(), ask=service.url, more=more, tls=tls,
        secure=site.secure, timeout=timeout, endpoint=site.endpoint,
    )  # fmt: skip


def connect(site: Site, context: ssl.SSLContext, name: str) -> TlsPeer:
    """A client with patience: its handshake may take as long as an order."""
    plain = Peer.connect(site.secure.address)
    plain.socket.settimeout(PATIENCE)
    return TlsPeer(context.wrap_socket(plain.socket, server_hostname=name, suppress_ragged_eofs=False))


def is_refused(site: Site, name: str) -> bool:
    """Whether a client that believes everything is shown what stands in."""
    with connect(site, ssl._create_unverified_context(), name) as client:
        shown = x509.load_der_x509_certificate(client.session.getpeercert(binary_form=True) or b"")
        assert client.ask(host=name).text == "a"
    return PLACEHOLDER.partition(",")[0] in shown.subject.rfc4514_string()


def test_the_first_client_waits_for_its_certificate(run, site, authority, service) -> None:
    """And so do those that come meanwhile, on every worker, for one question and one order; later nobody does. A
    restart needs neither the issuer nor the service."""
    service.allowed = {"a.shop.test"}
    with issuing(authority, site.plain, site.secure) as pebble:
        balancer = run(text(site, pebble, service))
        trusting = pebble.context()

        def come(_: int) -> set[str]:
            with connect(site, trusting, "A.shop.test") as client:
                assert client.ask(host="a.shop.test").text == "a"
                return client.shown

        with ThreadPoolExecutor(8) as clients:
            assert set(map(frozenset, clients.map(come, range(8)))) == {frozenset({"a.shop.test"})}
        issued = balancer.wait_log("certificate issued")
        assert issued["certificate"] == "customers/a.shop.test"
        assert service.asked == ["a.shop.test"]
        listed = balancer.admin.get("/api/certificates").json()
        (told,) = (each for each in listed if each["name"] == "customers/a.shop.test")
        assert (told["names"], told["listeners"], told["origin"]) == (["a.shop.test"], ["secure"], "acme")
        assert told["renewal"]["error"] == ""
        assert balancer.metric("evenly_certificate_expiry_timestamp_seconds", certificate="customers/a.shop.test") > 0
        shown = run_verb("certificates", "--admin", str(balancer.admin_path)).stdout
        assert "customers/a.shop.test" in shown
        assert "certificate customers · on demand: 1 of 1,000 hosts" in shown
        # A reload changes nothing about it.
        balancer.reload(text(site, pebble, service, timeout="50s"))
        come(0)
        listing = site.state / "acme" / "on-demand" / "customers.json"
        balancer.until(listing.exists)
        assert json.loads(listing.read_text())["hosts"] == ["a.shop.test"]
        balancer.end()
    service.close()
    run(text(site, pebble, service))
    come(0)


def test_whoever_is_not_allowed_gets_what_stands_in(run, site, authority, service) -> None:
    """Without being asked about twice; what is no host of the pattern is not asked about at all."""
    with issuing(authority, site.plain, site.secure) as pebble:
        balancer = run(text(site, pebble, service))
        for name in (
            "no.shop.test",
            "no.shop.test",
            "broken.shop.test",
            "broken.shop.test",
            "other.test",
            "a.b.shop.test",
        ):
            assert is_refused(site, name)
        assert service.asked == ["no.shop.test", "broken.shop.test"]
        refused = balancer.wait_log("certificate on demand refused", host="no.shop.test")
        assert (refused["problem"], refused["certificate"]) == ("your service does not allow it", "customers")
        assert "answers 500" in balancer.wait_log("certificate on demand refused", host="broken.shop.test")["problem"]
        # Allowed, and not issued: that is no secret, and nobody waits for it again for a while.
        service.allowed = {"lost.shop.test"}
        pebble.stop()
        assert is_refused(site, "lost.shop.test")
        assert (
            "Connection refused" in balancer.wait_log("certificate on demand refused", host="lost.shop.test")["problem"]
        )
        assert is_refused(site, "lost.shop.test")
        assert service.asked[2:] == ["lost.shop.test"]


def test_by_hand(run, site, authority, service) -> None:
    """One is renewed or revoked by the name under which it is listed; which names there are is said."""
    service.allowed = {"a.shop.test"}
    with issuing(authority, site.plain, site.secure) as pebble:
        balancer = run(text(site, pebble, service))

        def serial() -> int:
            with connect(site, pebble.context(), "a.shop.test") as client:
                shown = x509.load_der_x509_certificate(client.session.getpeercert(binary_form=True) or b"")
            return shown.serial_number

        def by_hand(verb: str, name: str, expect: int = 0) -> str:
            asked = ("certificates", verb, name, "--admin", str(balancer.admin_path))
            done = run_verb(*asked, expect=expect, timeout=PATIENCE)
            return " ".join((done.stderr if expect else done.stdout).split())

        first = serial()
        assert "customers/a.shop.test: issued by" in by_hand("renew", "customers/a.shop.test")
        second = serial()
        assert second != first
        assert "customers/a.shop.test: revoked" in by_hand("revoke", "customers/a.shop.test")
        assert serial() not in (first, second)
        assert [pebble.status_of(each) for each in (first, second)] == ["Valid", "Revoked"]
        assert "customers/a.shop.test; found customers/b.shop.test" in by_hand("renew", "customers/b.shop.test", 1)


def test_a_program_decides(run, site, authority, service, tmp_path) -> None:
    """In place of a service."""
    script = tmp_path / "is-ours"
    script.write_text('#!/bin/sh\n[ "$1" = a.shop.test ]\n')
    script.chmod(0o755)
    with issuing(authority, site.plain, site.secure) as pebble:
        asked = text(site, pebble, service).replace(f'ask = "{service.url}"', f'command = ["{script}"]')
        balancer = run(asked)
        with connect(site, pebble.context(), "a.shop.test") as client:
            assert client.shown == {"a.shop.test"}
        assert is_refused(site, "b.shop.test")
        assert balancer.metric("evenly_certificate_on_demand_total", outcome="refused") == 1
        assert not service.asked


def test_bounds(run, site, authority, service) -> None:
    """So many hosts, so many questions in a time; beyond, strict listeners refuse the handshake."""
    service.allowed = {"a.shop.test", "b.shop.test"}
    with issuing(authority, site.plain, site.secure) as pebble:
        balancer = run(text(site, pebble, service, more=', max_hosts = 1, rate = "3/h"', tls=", strict_sni = true"))
        with connect(site, pebble.context(), "a.shop.test") as client:
            assert client.shown == {"a.shop.test"}
        for name in ("b.shop.test", "c.shop.test", "d.shop.test"):
            with pytest.raises(ssl.SSLError):
                is_refused(site, name)
        assert service.asked == ["a.shop.test"]
        assert "`max_hosts`" in balancer.wait_log("certificate on demand refused", host="b.shop.test")["problem"]
        assert not any("c.shop.test" in line for line in balancer.log.all), "once a minute is enough"
        counted = {"certificate": "customers", "outcome": "limited"}
        assert balancer.metric("evenly_certificate_on_demand_total", **counted) == 3
        assert balancer.metric("evenly_certificate_on_demand_hosts", certificate="customers") == 1
        balancer.reload(text(site, pebble, service, more=', max_hosts = 9, rate = "1/h"', tls=", strict_sni = true"))
        with pytest.raises(ssl.SSLError):
            is_refused(site, "e.shop.test")
        with pytest.raises(ssl.SSLError):
            is_refused(site, "b.shop.test")
        assert service.asked == ["a.shop.test", "e.shop.test"]
        assert any("which is `rate`" in line and "b.shop.test" in line for line in balancer.log.all)
        with connect(site, pebble.context(), "a.shop.test") as client:
            assert client.shown == {"a.shop.test"}


def test_a_handshake_waits_no_longer_than_its_deadline(run, site, authority, service) -> None:
    with issuing(authority, site.plain, site.secure) as pebble:
        balancer = run('access_log = "-"\n' + text(site, pebble, service, timeout="1s"))
        with pytest.raises((ssl.SSLError, OSError)):
            is_refused(site, "silent.shop.test")
        balancer.access(reason="tls-timeout")
        assert (
            "no answer within 5 s" in balancer.wait_log("certificate on demand refused", deadline=PATIENCE)["problem"]
        )
        assert is_refused(site, "silent.shop.test")
