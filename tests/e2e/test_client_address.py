"""`source_address = "client"`: endpoints see the client's own address, and answer through the balancer."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ..support.balancer import Balancer, console_script
from ..support.datagram import Asker, Echo
from ..support.network import Network, network
from ..support.programs import nginx, program
from ..support.wire import DEADLINE, Peer

GUIDE = Path(__file__).resolve().parents[2] / "examples/21-client-address"

WITHOUT = ("setpriv", "--bounding-set=-net_admin,-net_raw", "--inh-caps=-net_admin,-net_raw")
"""Root, but for the right to use others' addresses."""


@pytest.fixture(scope="module")
def wires() -> Iterator[Network]:
    """Clients, balancer and endpoints apart, with the routes of the guide."""
    with network() as built:
        with built.inside(built.balancer):
            for line in (GUIDE / "routes.sh").read_text().splitlines():
                if line.startswith("ip "):
                    subprocess.run([program("ip"), *line.split()[1:]], check=True)
            subprocess.run([program("nft"), "-f", str(GUIDE / "evenly.nft")], check=True)
        yield built


@pytest.fixture
def serving(wires: Network, tmp_path: Path) -> Iterator[Path]:
    """nginx as the endpoint, which answers with what it sees of a connection; its log."""
    server = "listen 10.2.0.2:80 reuseport; listen [fd02::2]:80 reuseport; access_log access.log seen;"
    answering = nginx(
        tmp_path,
        f'{server} location / {{ return 200 "$remote_addr $connection"; }}',
        top='log_format seen "$remote_addr $uri";',
    )
    with ExitStack() as running:
        with wires.inside(wires.endpoints):
            running.enter_context(answering)
        yield tmp_path / "access.log"


@contextmanager
def balancing(wires: Network, text: str) -> Iterator[Balancer]:
    """Evenly between both."""
    with wires.inside(wires.balancer), Balancer(f'workers = 1\naccess_log = "-"\n{text}') as balancer:
        yield balancer.until_ready()


@contextmanager
def client(wires: Network, source: str, to: tuple[str, int] = ("10.1.0.1", 8080)) -> Iterator[Peer]:
    """A client with this address."""
    with wires.inside(wires.clients), Peer.connect(to, source=source) as peer:
        yield peer


POOL = '[pools.app]\nendpoints = ["10.2.0.2:80"]\nsource_address = "client"\n'
HTTP = f'[listeners.web]\nbind = ["10.1.0.1:8080", "[fd01::1]:8080"]\n{POOL}'


def seen(peer: Peer) -> tuple[str, str]:
    """The client's address and the connection's number, as the endpoint has them."""
    answer = peer.ask()
    assert answer.status == 200
    address, connection = answer.text.split()
    return address, connection


def test_http(wires, serving) -> None:
    """Connections are kept, for the same client only; health checks come from the node itself."""
    check = 'health_check = { type = "http", path = "/healthz", interval = "1s" }\n'
    with balancing(wires, HTTP + check) as balancer:
        with client(wires, "10.1.0.2") as one, client(wires, "10.1.0.3") as other:
            first = seen(one)
            assert (first[0], seen(one)) == ("10.1.0.2", first)
            second = seen(other)
            assert (second[0], second[1] != first[1]) == ("10.1.0.3", True)
        with client(wires, "10.1.0.3") as again:
            assert seen(again) == second
        balancer.until(lambda: "/healthz" in serving.read_text())
    assert set(re.findall(r"(\S+) /healthz", serving.read_text())) == {"10.2.0.1"}
    assert set(re.findall(r"(\S+) /\n", serving.read_text())) == {"10.1.0.2", "10.1.0.3"}


def test_tcp(wires, serving) -> None:
    """A byte stream, over both families."""
    text = (
        '[listeners.four]\nbind = "10.1.0.1:8080"\nprotocol = "tcp"\npool = "app"\n'
        '[listeners.six]\nbind = "[fd01::1]:8080"\nprotocol = "tcp"\npool = "six"\n'
        f'{POOL}[pools.six]\nendpoints = ["[fd02::2]:80"]\nsource_address = "client"\n'
    )
    with balancing(wires, text):
        with client(wires, "10.1.0.3") as four:
            assert seen(four)[0] == "10.1.0.3"
        with client(wires, "fd01::2", ("fd01::1", 8080)) as six:
            assert seen(six)[0] == "fd01::2"


def test_udp(wires) -> None:
    """Datagrams carry the client's address, and their answers find the way back."""
    text = (
        '[listeners.dns]\nbind = ["10.1.0.1:53", "[fd01::1]:53"]\nprotocol = "udp"\npool = "app"\n'
        '[listeners.six]\nbind = "[fd01::1]:54"\nprotocol = "udp"\npool = "six"\n'
        '[pools.app]\nendpoints = ["10.2.0.2:53"]\nsource_address = "client"\n'
        '[pools.six]\nendpoints = ["[fd02::2]:53"]\nsource_address = "client"\n'
    )
    with (
        wires.inside(wires.endpoints),
        Echo("four", ip="10.2.0.2", port=53) as four,
        Echo("six", ip="fd02::2", port=53) as six,
        balancing(wires, text) as balancer,
        wires.inside(wires.clients),
    ):
        for source in ("10.1.0.2", "10.1.0.3"):
            with Asker(("10.1.0.1", 53), source=source) as asker:
                assert [asker.ask() for _ in range(3)] == [b"four:x"] * 3
        with Asker(("fd01::1", 54), source="fd01::2") as asker:
            assert asker.ask() == b"six:x"
        with Asker(("fd01::1", 53), source="fd01::2") as asker:
            asker.send()
            labels = {"listener": "dns", "reason": "source-unusable"}
            balancer.until(lambda: balancer.metric("evenly_terminations_total", **labels) == 1)
        assert {address for address, _ in four.sources} == {"10.1.0.2", "10.1.0.3"}
        assert {address for address, _ in six.sources} == {"fd01::2"}


def test_addresses_of_different_families(wires, serving) -> None:
    """An IPv6 client cannot be shown to an IPv4 endpoint: it is told, and the endpoint is not blamed."""
    with balancing(wires, HTTP + "outlier_detection = { consecutive_local_origin_failure = 1 }\n") as balancer:
        with client(wires, "fd01::2", ("fd01::1", 8080)) as six:
            assert [six.ask().status for _ in range(3)] == [502] * 3
        assert balancer.access(client="fd01::2")["reason"] == "source-unusable"
        assert balancer.endpoint("10.2.0.2:80")["state"] == "healthy"
        with client(wires, "10.1.0.2") as four:
            assert seen(four)[0] == "10.1.0.2"
        balancer.reload(balancer.file.read_text().replace('["10.2.0.2:80"]', '["10.2.0.2:80", "[fd02::2]:80"]'))
        with client(wires, "fd01::2", ("fd01::1", 8080)) as six, client(wires, "10.1.0.3") as four:
            assert {seen(six)[0] for _ in range(4)} == {"fd01::2"}
            assert {seen(four)[0] for _ in range(4)} == {"10.1.0.3"}


@pytest.fixture
def unprivileged() -> tuple[str, ...]:
    """How a program is started without the capabilities."""
    if os.geteuid() == 0:
        return (program(WITHOUT[0]), *WITHOUT[1:])
    return ()


def complains(text: str) -> None:
    """The error says what is missing."""
    assert "source_address" in text
    assert "CAP_NET_ADMIN or CAP_NET_RAW" in text


def test_without_the_capability_it_does_not_start(unprivileged, tmp_path, port) -> None:
    """The file, the line and the path are named. That the file is right, `check` says anywhere."""
    file = tmp_path / "evenly.toml"
    file.write_text(f'[listeners.web]\nbind = "{port()}"\n[pools.app]\nendpoints = []\nsource_address = "client"\n')
    command = [*unprivileged, console_script()]
    done = subprocess.run([*command, "run", str(file)], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 2
    complains(done.stderr)
    assert "evenly.toml:5" in done.stderr
    assert "pools.app.source_address" in done.stderr
    subprocess.run([*command, "check", str(file)], timeout=DEADLINE, check=True)


def test_without_the_capability_a_reload_is_refused(unprivileged, run, port, servers) -> None:
    """The running configuration stays."""
    bound = port()
    text = f'[listeners.web]\nbind = "{bound}"\n[pools.app]\nendpoints = ["{servers("a")[0]}"]\n'
    balancer = run(text, through=unprivileged)
    balancer.file.write_text(f'{text}source_address = "client"\n')
    answer = balancer.admin.post("/api/reload")
    assert answer.status_code == 422
    complains(answer.text)
    with Peer.connect(bound.address) as peer:
        assert peer.ask().text == "a"
