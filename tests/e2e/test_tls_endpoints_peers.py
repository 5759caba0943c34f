"""TLS to endpoints that others wrote: nginx, and OpenSSL's test server."""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from ..support import programs
from ..support.authority import Authority, Files
from ..support.balancer import Lines
from ..support.programs import program

LARGE = bytes(range(256)) * 20_000


@pytest.fixture
def nginx(tmp_path, port, authority) -> Iterator[str]:
    """nginx under TLS on a reserved port, serving a folder to clients with a certificate; its address."""
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "large.bin").write_bytes(LARGE)
    bound, files = port(), authority.issue("127.0.0.1")
    chain = tmp_path / "clients.pem"
    chain.write_text(authority.bundle.read_text())
    server = (
        f"listen {bound} ssl reuseport; root {tmp_path}/html;\n"
        f"ssl_certificate {files.cert}; ssl_certificate_key {files.key};\n"
        f"ssl_client_certificate {chain}; ssl_verify_client on; ssl_verify_depth 2; keepalive_requests 2;\n"
        "ssl_protocols TLSv1.2 TLSv1.3;\n"
        "location /who { default_type text/plain; "
        'return 200 "$ssl_protocol $ssl_client_s_dn $ssl_session_reused"; }'
    )
    with programs.nginx(tmp_path, server):
        yield str(bound)


def pool(authority: Authority, us: Files) -> dict[str, Any]:
    """Options of a pool that shows a certificate, and the certificate."""
    tls = f'tls = {{ ca = "{authority.bundle}", client_certificate = "us" }}'
    return {"pool": tls, "routes": us.table("us")}


def test_nginx_takes_our_certificate_and_resumes_our_sessions(web, nginx, authority) -> None:
    """Every second request needs a new connection, as it allows two on each."""
    serving = web(f"https://{nginx}", **pool(authority, authority.issue("us.test")))
    client = serving.connect()
    answers = [client.ask("/who").text for _ in range(6)]
    assert answers[0] == "TLSv1.3 CN=us.test ."
    assert answers[2] == "TLSv1.3 CN=us.test r"
    assert client.ask("/large.bin").body == LARGE
    tls = serving.balancer.endpoint(nginx)["tls"]
    assert tls["handshakes"] >= 3
    assert tls["resumed"] == tls["handshakes"] - 1


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_serves_us(web, authority, version) -> None:
    """Its test server, which answers with what was agreed on."""
    files = authority.issue("app.test")
    command = [program("openssl"), "s_server", "-accept", "127.0.0.1:0", "-www", version, "-cert", str(files.cert)]
    command += ["-key", str(files.key), "-cert_chain", str(files.cert)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        # The port is the system's choice.
        address = Lines(process.stdout).wait(lambda line: line.startswith("ACCEPT ")).split()[1]
        serving = web(address, pool=f'tls = {{ ca = "{authority.bundle}", sni = "app.test" }}')
        answer = serving.connect().ask("/").text
        assert {"-tls1_2": "TLSv1.2", "-tls1_3": "TLSv1.3"}[version] in answer
        tls = serving.balancer.endpoint(address)["tls"]
        assert (tls["handshakes"], tls["trouble"]) == (1, None)
    finally:
        process.terminate()
        process.wait(timeout=10)
