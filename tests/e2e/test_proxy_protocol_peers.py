"""PROXY protocol with programs that others wrote: nginx and HAProxy read our headers, and HAProxy writes one for us."""

from pathlib import Path

import pytest

from ..support.programs import program, running
from ..support.wire import Peer


@pytest.fixture
def nginx(tmp_path: Path, port):
    """nginx that answers with the client's address as the PROXY protocol has it; where it listens."""
    bound, file = port(), tmp_path / "nginx.conf"
    file.write_text(
        f"daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; server {{ listen {bound} reuseport proxy_protocol;\n"
        'location / { return 200 "$proxy_protocol_addr $proxy_protocol_port"; } } }\n'
    )
    with running([program("nginx"), "-c", str(file), "-p", str(tmp_path), "-e", f"{tmp_path}/error.log"], bound):
        yield str(bound)


@pytest.fixture
def haproxy(tmp_path: Path, port):
    """HAProxy that does the same; where it listens."""
    bound, file = port(), tmp_path / "haproxy.cfg"
    file.write_text(
        "defaults\n mode http\n timeout client 9s\n timeout connect 9s\n timeout server 9s\n"
        f"frontend in\n bind {bound} accept-proxy\n"
        ' http-request return status 200 content-type text/plain lf-string "%[src] %[src_port]"\n'
    )
    with running([program("haproxy"), "-db", "-f", str(file)], bound):
        yield str(bound)


@pytest.mark.parametrize("peer", ["nginx", "haproxy"])
@pytest.mark.parametrize("protocol", ["tcp", "http"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_endpoints_log_the_client(request, run, port, peer, protocol, version) -> None:
    """Over TCP and over HTTP, in both versions; behind a proxy of ours, its client's address."""
    bound, proxied = port(), port()
    target = 'protocol = "tcp"\npool = "app"' if protocol == "tcp" else ""
    run(
        f'[listeners.direct]\nbind = "{bound}"\n{target}\n'
        f'[listeners.proxied]\nbind = "{proxied}"\n{target}\nproxy_protocol = "127.0.0.1"\n'
        f'[pools.app]\nendpoints = "{request.getfixturevalue(peer)}"\nproxy_protocol = "{version}"\n'
    )
    with Peer.connect(bound.address, source="127.0.0.5") as client:
        for _ in range(2):
            assert client.ask().text == f"127.0.0.5 {client.socket.getsockname()[1]}"
    with Peer.connect(proxied.address) as client:
        client.send("PROXY TCP6 2001:db8::7 2001:db8::1 40000 443\r\n")
        assert client.ask().text == "2001:db8::7 40000"


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
def test_haproxy_in_front(run, port, endpoint, tmp_path, option) -> None:
    """HAProxy tells us who the client is."""
    front, bound = port(), port()
    file = tmp_path / "front.cfg"
    file.write_text(
        "defaults\n mode tcp\n timeout client 9s\n timeout connect 9s\n timeout server 9s\n"
        f"listen in\n bind {front}\n server evenly {bound} {option}\n"
    )
    run(f'[listeners.web]\nbind = "{bound}"\nproxy_protocol = "127.0.0.1"\n[pools.app]\nendpoints = "{endpoint}"\n')
    with (
        running([program("haproxy"), "-db", "-f", str(file)], front),
        Peer.connect(front.address, source="127.0.0.6") as client,
    ):
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        _, got = endpoint.serve()
        assert got.one("X-Forwarded-For") == "127.0.0.6"
