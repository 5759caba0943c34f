"""TLS passed through: the route goes by what the client asks for, and the endpoint sees every byte."""

import contextlib
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from ..support.programs import program
from ..support.wire import DEADLINE, Peer


class TlsServer:
    """An endpoint with a certificate: answers every connection with its name and what the client asked for."""

    def __init__(self, name: str, certificate: Path) -> None:
        self.name = name
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
        self.context.set_alpn_protocols(["h2", "http/1.1", "postgresql"])
        self.context.sni_callback = lambda sock, asked, _: setattr(sock, "asked", asked)
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def __str__(self) -> str:
        return self.address

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=(self.socket.accept()[0],), daemon=True).start()

    def _answer(self, plain: socket.socket) -> None:
        plain.settimeout(DEADLINE)
        with contextlib.suppress(OSError), self.context.wrap_socket(plain, server_side=True) as stream:
            stream.recv(1000)
            body = f"{self.name} {stream.asked} {stream.selected_alpn_protocol()}"  # type: ignore[attr-defined]
            stream.sendall(f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            stream.unwrap()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A directory with a key and a certificate that nobody has signed."""
    openssl = program("openssl")
    place: Path = tmp_path_factory.mktemp("certificate")
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    subprocess.run(
        [openssl, *command.split(), "-keyout", place / "key.pem", "-out", place / "certificate.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return place


@pytest.fixture
def passthrough(run, port, certificate):
    """A balancer with three TLS endpoints behind routes; the balancer and the port."""
    bound = port()
    servers = {name: TlsServer(name, certificate) for name in ("shop", "grpc", "rest")}
    pools = "".join(f'[pools.{name}]\nendpoints = "{server}"\n' for name, server in servers.items())
    text = (
        f'access_log = "-"\n[listeners.tls]\nbind = "{bound}"\nprotocol = "tcp"\npool = "rest"\n'
        'timeouts = { header = "3s" }\n'
        'routes = [{ sni = "shop.example.com", pool = "shop" }, '
        '{ sni = "*.example.com", alpn = "h2", pool = "grpc" }]\n'
    )
    yield run(text + pools), bound
    for server in servers.values():
        server.socket.close()


def ask(address: tuple[str, int], name: str | None, protocols: list[str]) -> str:
    """What the endpoint says that this client reached."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    with (
        socket.create_connection(address, timeout=DEADLINE) as plain,
        context.wrap_socket(plain, server_hostname=name) as stream,
    ):
        stream.sendall(b"x")
        answer = b""
        while piece := stream.recv(1000):
            answer += piece
        return answer.partition(b"\r\n\r\n")[2].decode()


@pytest.mark.parametrize(
    ("name", "protocols", "reached"),
    [
        ("shop.example.com", [], "shop shop.example.com None"),
        ("SHOP.example.com", ["h2"], "shop SHOP.example.com h2"),
        ("api.example.com", ["h2", "http/1.1"], "grpc api.example.com h2"),
        ("api.example.com", ["http/1.1"], "rest api.example.com http/1.1"),
        ("example.com", ["h2"], "rest example.com h2"),
        (None, ["h2"], "rest None h2"),
    ],
)
def test_routes(passthrough, name, protocols, reached) -> None:
    """The first route that matches wins; a client that names nobody, and what no route matches, goes to `pool`."""
    balancer, bound = passthrough
    assert ask(bound.address, name, protocols) == reached
    line = balancer.access(listener="tls")
    assert line["pool"] == reached.split()[0]
    assert "reason" not in line


def test_openssl_and_curl(passthrough) -> None:
    """Clients that are not ours."""
    _, bound = passthrough
    command = f"openssl s_client -connect {bound} -servername a.example.com -alpn h2,postgresql -ign_eof -quiet"
    done = subprocess.run(command.split(), input=b"x", capture_output=True, timeout=DEADLINE, check=False)
    assert done.stdout.endswith(b"grpc a.example.com h2")
    curl = program("curl")
    url = f"https://shop.example.com:{bound.number}/"
    resolve = f"shop.example.com:{bound.number}:127.0.0.1"
    done = subprocess.run(
        [curl, "-sSk", "--http1.1", "--resolve", resolve, url], capture_output=True, timeout=DEADLINE, check=True
    )
    assert done.stdout == b"shop shop.example.com http/1.1"


def test_a_hello_in_segments_of_one_byte(passthrough) -> None:
    """Every byte is kept for the endpoint, however the ClientHello comes, and the handshake ends well."""
    _, bound = passthrough
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="shop.example.com")
    with Peer.connect(bound.address) as client:
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        for byte in outgoing.read():
            client.send(bytes((byte,)))
        while True:
            incoming.write(client.receive())
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                break
        tls.write(b"x")
        client.send(outgoing.read())
        answer = b""
        while b"shop shop.example.com" not in answer:
            incoming.write(client.receive())
            with contextlib.suppress(ssl.SSLWantReadError):
                answer += tls.read(1000)


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\0\x05\x02\0\0\x01\0", b"\x16\x03\x01\0\0"])
def test_garbage_is_cut_and_counted(passthrough, sent) -> None:
    """Nothing of it reaches an endpoint."""
    balancer, bound = passthrough
    with Peer.connect(bound.address) as client:
        client.send(sent)
        assert client.expect_cut() == b""
    line = balancer.access(listener="tls")
    assert line["reason"] == "tls-hello-bad"
    assert "endpoint" not in line
    assert balancer.metric("evenly_terminations_total", listener="tls", reason="tls-hello-bad") == 1


def test_half_a_hello_is_cut_in_time(passthrough) -> None:
    """A client that does not finish holds nothing for long."""
    balancer, bound = passthrough
    with Peer.connect(bound.address) as client:
        client.send(b"\x16\x03\x01\x01\0\x01")
        assert client.expect_cut() == b""
    assert balancer.access(listener="tls")["reason"] == "request-timeout"


def test_without_a_pool_what_no_route_matches_is_reset(run, port, endpoint) -> None:
    """There is nowhere to go, and the log says so."""
    bound = port()
    balancer = run(
        f'access_log = "-"\n[listeners.tls]\nbind = "{bound}"\nprotocol = "tcp"\n'
        'routes = [{ sni = "shop.example.com", pool = "shop" }]\n'
        f'[pools.shop]\nendpoints = "{endpoint}"\n'
    )
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(bound.address, "other.example.com", [])
    line = balancer.access(listener="tls")
    assert (line["reason"], line["sni"], line["attempts"]) == ("route-none", "other.example.com", 0)
    assert not endpoint.is_asked()
