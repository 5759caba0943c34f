"""A certificate whose key got into wrong hands is revoked, whatever the issuer's server does in between."""

import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from ..support.balancer import run_verb
from ..support.pebble import Pebble, issuing
from .test_acme import PATIENCE, Site, certificate


@pytest.fixture
def site(port, servers, tmp_path) -> Site:
    return Site(port, servers("a")[0], tmp_path / "state")


class Front(ThreadingHTTPServer):
    """Stands before an issuer, and answers 503 to revocations: `refused`, or after the issuer has done it: `lost`."""

    daemon_threads = True

    def __init__(self, pebble: Pebble) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.pebble, self.fails = pebble, ""
        self.resolver = pebble.resolver
        self.client = httpx.Client(verify=ssl.create_default_context(cafile=str(pebble.authority.bundle)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pebble.files.cert, pebble.files.key)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def issuer(self, more: str = "") -> str:
        """As it stands in a configuration."""
        return self.pebble.issuer(more).replace(str(self.pebble.listen), str(self.server_port))


class Passing(BaseHTTPRequestHandler):
    """Passes requests on under their own Host, by which pebble names its places."""

    server: Front
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        front = self.server
        fails = front.fails if "revoke" in self.path else ""
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fails != "refused":
            url = f"https://localhost:{front.pebble.listen}{self.path}"
            kept = {name: self.headers[name] for name in ("Host", "Content-Type") if name in self.headers}
            answer = front.client.request(self.command, url, content=content, headers=kept)
        # Pebble refuses some nonces on purpose, and has then done nothing: Evenly asks again.
        if fails == "refused" or (fails and answer.is_success):
            answer = httpx.Response(503, text="Service Unavailable")
        self.send_response(answer.status_code)
        for name in ("Content-Type", "Replay-Nonce", "Location", "Link", "Retry-After"):
            for value in answer.headers.get_list(name):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    do_POST = do_HEAD = do_GET  # noqa: N815 - names of the library

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def before(pebble: Pebble):
    """A front, inside the block."""
    front = Front(pebble)
    thread = threading.Thread(target=front.serve_forever)
    thread.start()
    try:
        yield front
    finally:
        front.shutdown()
        thread.join()
        front.server_close()
        front.client.close()


@pytest.mark.parametrize("fails", ["refused", "lost"])
def test_an_issuer_that_fails_to_revoke(run, site, authority, fails) -> None:
    """The one that is to be revoked is not lost with it: it is shown, kept over a restart, and finished."""
    with issuing(authority, site.plain) as pebble, before(pebble) as front:
        balancer = run(site.text(front))
        balancer.wait_log("certificates replaced", deadline=PATIENCE)
        trusting = pebble.context()
        first = int(site.serial(trusting), 16)
        front.fails = fails
        verb = ("certificates", "revoke", "site", "--reason", "key-compromise", "--admin")
        refused = run_verb(*verb, str(balancer.admin_path), expect=1, timeout=PATIENCE).stderr
        assert "issuer0 did not revoke the certificate" in refused
        assert "it is tried again by itself" in " ".join(refused.split())
        second = int(site.serial(trusting), 16)
        assert second != first
        assert pebble.status_of(first) == ("Valid" if fails == "refused" else "Revoked")
        told = certificate(balancer)["renewal"]["revocation"]
        assert (told["serial"], told["issuer"], told["failures"]) == (f"{first:x}", "issuer0", 1)
        assert time.time() < told["next_try"] < time.time() + 130
        assert balancer.metric("evenly_certificate_revocation_pending", certificate="site") == 1
        shown = run_verb("certificates", "--admin", str(balancer.admin_path)).stdout
        assert f"serial number {first:x} is still to be revoked · next try in" in shown
        balancer.end()
        front.fails = ""
        again = run(site.text(front))
        again.until(lambda: (certificate(again)["renewal"]["revocation"] or {}).get("serial") == f"{first:x}")
        assert "site: revoked" in run_verb(*verb, str(again.admin_path), timeout=PATIENCE).stdout
        assert again.wait_log("certificate revoked")["serial"] == f"{first:x}"
        assert (pebble.status_of(first), pebble.status_of(second)) == ("Revoked", "Valid")
        assert int(site.serial(trusting), 16) == second
        assert certificate(again)["renewal"]["revocation"] is None
        assert again.metric("evenly_certificate_revocation_pending", certificate="site") == 0
        assert list((site.state / "acme" / "revocations").iterdir()) == []
