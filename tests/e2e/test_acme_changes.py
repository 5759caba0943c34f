"""Two certificates on one listener, one of them a wildcard, are issued for the first time, and renewed by their own
time and by hand, while clients shake hands all along: none of them is ever refused."""

import itertools
import ssl
import threading
from collections import defaultdict
from datetime import UTC, datetime

from cryptography import x509
from evenly.config.self_signed import PLACEHOLDER

from ..support.authority import TlsPeer
from ..support.balancer import run_verb
from ..support.named import naming
from ..support.pebble import issuing
from ..support.ports import Port
from ..support.wire import Peer
from .test_acme import PATIENCE, certificate

RUN = """
workers = 2
state_dir = "{state}"
[acme]
terms_agreed = true
resolver = "{named}"
dns = {{ type = "rfc2136", server = "{named}", key_name = "evenly", key_file = "{key_file}", wait = "0s" }}
issuers = {{ pebble = {issuer} }}
[certificates.site]
acme = {{ hosts = ["shop.test", "www.shop.test"], challenge = "tls-alpn-01" }}
[certificates.wild]
acme = {{ hosts = ["wild.test", "*.wild.test"], challenge = "dns-01", key_type = "rsa-2048" }}
[listeners.secure]
bind = "{secure}"
tls = {{ certificates = ["site", "wild"], policy = "intermediate" }}
[pools.app]
endpoints = ["{endpoint}"]
"""

NAMES = {"shop.test": "site", "any.wild.test": "wild"}


class Clients:
    """Handshakes one after the other, for every name in every version; what each was shown."""

    def __init__(self, port: Port) -> None:
        self.shown: dict[str, list[x509.Certificate]] = defaultdict(list)
        self.problems: list[str] = []
        self.number = 0
        self._port = port
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def issued(self, name: str) -> set[int]:
        """Serial numbers of the certificates that an issuer made."""
        return {each.serial_number for each in self.shown[name] if not _is_placeholder(each)}

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        versions = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
        for name, version in itertools.cycle(itertools.product(NAMES, versions)):
            if self._ended.is_set():
                return
            try:
                self._shake_hands(name, version)
            except (OSError, AssertionError) as error:
                self.problems.append(f"{name} {version.name}: {error!r}")

    def _shake_hands(self, name: str, version: ssl.TLSVersion) -> None:
        # Before the first is issued, nobody could verify anything.
        context = ssl._create_unverified_context()
        context.minimum_version = context.maximum_version = version
        plain = Peer.connect(self._port.address)
        with TlsPeer(context.wrap_socket(plain.socket, server_hostname=name, suppress_ragged_eofs=False)) as client:
            certificate = x509.load_der_x509_certificate(client.session.getpeercert(binary_form=True) or b"")
            assert client.ask(host=name).text == "a"
        if not self.shown[name] or self.shown[name][-1] != certificate:
            self.shown[name].append(certificate)
        left = certificate.not_valid_after_utc - datetime.now(UTC)
        assert left.total_seconds() > 0, f"expired {-left} ago"
        self.number += 1


def _is_placeholder(certificate: x509.Certificate) -> bool:
    return PLACEHOLDER in certificate.subject.rfc4514_string().replace("\\", "")


def test_no_handshake_fails_during_any_change(run, port, servers, authority, tmp_path) -> None:
    secure = port()
    with naming() as named, issuing(authority, secure, secure, dns=named.address, seconds=30) as pebble:
        text = RUN.format(
            state=tmp_path / "state", named=named.address, key_file=named.key_file, issuer=pebble.issuer(),
            secure=secure, endpoint=servers("a")[0],
        )  # fmt: skip
        balancer = run(text)
        clients = Clients(secure)
        try:
            # The first of each, and the second by its own time.
            for number in (1, 2):
                balancer.until(lambda n=number: all(len(clients.issued(name)) >= n for name in NAMES), PATIENCE)
            for name in NAMES.values():
                run_verb("certificates", "renew", name, "--admin", str(balancer.admin_path), timeout=PATIENCE)
            balancer.until(lambda: all(len(clients.issued(name)) >= 3 for name in NAMES), PATIENCE)
        finally:
            clients.end()
        assert clients.problems == []
        for name, of in NAMES.items():
            assert not _is_placeholder(clients.shown[name][-1])
            assert certificate(balancer, of)["renewal"]["failures"] == 0
        assert clients.number > 50
