"""A name server that others wrote, BIND, with one zone that takes signed updates."""

import secrets
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from .balancer import Lines
from .pebble import free_port
from .programs import program

START = 20.0

CONFIGURATION = """
key "evenly" {{ algorithm hmac-sha256; secret "{secret}"; }};
options {{
  directory "{directory}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion no; pid-file none; dnssec-validation no; session-keyfile none; notify no;
}};
controls {{ }};
zone "test" {{ type master; file "zone"; update-policy {{ grant evenly wildcard *.test. TXT; }}; }};
"""

ZONE = """$TTL 60
@ IN SOA ns.test. root.test. 1 60 60 60 60
@ IN NS ns.test.
ns IN A 127.0.0.1
* IN A 127.0.0.1
"""


class Named:
    """One running server for the zone `test`."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.secret = b64encode(secrets.token_bytes(32)).decode()
        self.key_file = directory / "tsig.secret"
        self.key_file.touch(mode=0o600)
        self.key_file.write_text(self.secret + "\n")
        file = directory / "named.conf"
        file.write_text(CONFIGURATION.format(secret=self.secret, directory=directory, port=self.port))
        (directory / "zone").write_text(ZONE)
        self.process = subprocess.Popen(
            [program("named"), "-g", "-n", "1", "-c", str(file)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.process.stderr is not None
        self.log = Lines(self.process.stderr)
        self.log.wait(lambda line: "running" in line, deadline=START)

    def texts(self, name: str) -> list[str]:
        """The TXT records of a name."""
        question = dns.message.make_query(name, "TXT")
        answer = dns.query.udp(question, "127.0.0.1", port=self.port, timeout=START)
        return [record.to_text().strip('"') for found in answer.answer for record in found]


@contextmanager
def naming() -> Iterator[Named]:
    """BIND, running inside the block."""
    with tempfile.TemporaryDirectory(prefix="named-") as directory:
        server = Named(Path(directory))
        try:
            yield server
        finally:
            server.process.terminate()
            server.process.wait(START)
