"""Pebble, Let's Encrypt's small ACME server, as an issuer: with nonce errors, and a host file of its own.

It asks the ports that a test chooses for `http-01`; names are answered by pebble-challtestsrv.
"""

import json
import os
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from .authority import Authority
from .balancer import Lines
from .ports import Port
from .programs import program

START = 20.0


def free_port() -> int:
    """A port that nobody has now. Pebble takes no socket and not port 0, so it has to be chosen before."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until_open(port: int) -> None:
    """Waits until somebody listens there."""
    ends = time.monotonic() + START
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < ends, f"nobody listens on port {port}"


class Pebble:
    """One running issuer."""

    def __init__(self, authority: Authority, http_port: int, tls_port: int, **options: Any) -> None:
        self.authority = authority
        self.options = options
        self.ports = (http_port, tls_port)
        self.listen, self.manage = free_port(), free_port()
        self.directory = f"https://localhost:{self.listen}/dir"
        self.files = authority.issue("localhost", file="pebble")
        self._process: subprocess.Popen[str] | None = None
        self._temporary = tempfile.TemporaryDirectory(prefix="pebble-")

    def start(self) -> None:
        """Starts it and waits until it answers."""
        configuration = {
            "pebble": {
                "listenAddress": f"127.0.0.1:{self.listen}",
                "managementListenAddress": f"127.0.0.1:{self.manage}",
                "certificate": str(self.files.cert),
                "privateKey": str(self.files.key),
                "httpPort": self.ports[0],
                "tlsPort": self.ports[1],
                "ocspResponderURL": "",
                # Not Debian's version.
                "caaIdentities": self.options.get("caa", []),
                "externalAccountBindingRequired": bool(self.options.get("external_account")),
                "externalAccountMACKeys": self.options.get("external_account", {}),
                "certificateValidityPeriod": self.options.get("seconds", 157_766_400),
            }
        }
        file = Path(self._temporary.name) / "pebble.json"
        file.write_text(json.dumps(configuration))
        dns = self.options.get("dns")
        self._process = subprocess.Popen(
            [
                str(self.options.get("program") or program("pebble")),
                "-config",
                str(file),
                *(["-dnsserver", str(dns)] if dns else []),
            ],
            env=os.environ
            | {
                "PEBBLE_WFE_NONCEREJECT": str(self.options.get("nonce_errors", 30)),
                "PEBBLE_VA_NOSLEEP": "1",
                # Else half of what is known of a host is asked for again, by chance.
                "PEBBLE_AUTHZREUSE": str(self.options.get("reuse", 0)),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.log = Lines(self._process.stdout)
        self.log.wait(lambda line: "Listening on" in line and str(self.listen) in line, deadline=START)
        self.log.wait(lambda line: "Management interface" in line or "Root CA certificate" in line, deadline=START)
        # It says so before it does.
        for port in (self.listen, self.manage):
            until_open(port)

    def stop(self) -> None:
        """Ends it; what it has issued is forgotten with it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START)
            self._process = None

    def close(self) -> None:
        """Ends it for good."""
        self.stop()
        self._temporary.cleanup()

    def context(self) -> ssl.SSLContext:
        """A client that trusts what it issues, and nothing else."""
        root = self._get("/roots/0").text
        context = ssl.create_default_context(cadata=root)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context

    def status_of(self, serial: int) -> str:
        """`Valid` or `Revoked`."""
        return str(self._get(f"/cert-status-by-serial/{serial:x}").json()["Status"])

    @property
    def resolver(self) -> str:
        """Who knows the names that it knows."""
        return str(self.options["dns"])

    def issuer(self, more: str = "") -> str:
        """As it stands in a configuration."""
        return f'{{ directory = "{self.directory}", ca = "{self.authority.bundle}"{more} }}'

    def suggest(self, certificate: str, start: datetime, end: datetime) -> None:
        """Has it want a certificate (PEM) renewed then, as RFC 9773 says it; not Debian's version."""
        window = {"suggestedWindow": {"start": start.isoformat(), "end": end.isoformat()}}
        self._ask("POST", "/set-renewal-info/", {"Certificate": certificate, "ARIResponse": json.dumps(window)})

    def _get(self, path: str) -> httpx.Response:
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, content: object = None) -> httpx.Response:
        context = ssl.create_default_context(cafile=str(self.authority.bundle))
        with httpx.Client(verify=context) as client:
            answer = client.request(method, f"https://localhost:{self.manage}{path}", json=content)
        assert answer.is_success, answer.text
        return answer


class Names:
    """A name server that sends every name to the loopback address: pebble-challtestsrv."""

    def __init__(self) -> None:
        self.port, self.manage = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._process = subprocess.Popen(
            [
                program("pebble-challtestsrv"), "-defaultIPv6", "", "-defaultIPv4", "127.0.0.1",
                "-dns01", self.address, "-management", f"127.0.0.1:{self.manage}",
                "-http01", "", "-https01", "", "-tlsalpn01", "",
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.log = Lines(self._process.stdout)
        self.log.wait(lambda line: "management" in line.lower(), deadline=START)

    def say(self, what: str, **content: Any) -> None:
        """Changes what it answers: `say("add-caa", host=…, policies=[…])`."""
        answer = httpx.post(f"http://127.0.0.1:{self.manage}/{what}", json=content)
        assert answer.is_success, answer.text

    def close(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait(START)


@contextmanager
def issuing(authority: Authority, http: Port, tls: Port | None = None, **options: Any) -> Iterator[Pebble]:
    """Pebble with a name server, running inside the block."""
    names = Names()
    try:
        options = {"dns": names.address} | options
        pebble = Pebble(authority, http.number, http.number if tls is None else tls.number, **options)
        pebble.names = names
        try:
            pebble.start()
            yield pebble
        finally:
            pebble.close()
    finally:
        names.close()
