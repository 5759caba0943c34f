"""Discovery by DNS, asking a server that others wrote (dnsmasq): answers change under load, and no request fails."""

import contextlib
import getpass
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import dns.exception
import dns.resolver
import pytest

from ..support.load import Load
from ..support.programs import program
from .test_discovery import has, text


class Dnsmasq:
    """A server on a reserved port; `say` changes what it answers for `app.test`."""

    def __init__(self, program: str, directory: Path, bound, *options: str) -> None:
        self.hosts = directory / "hosts"
        self.bound = bound
        self._command = [
            program, "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--local=/test/",
            f"--port={bound.number}", "--listen-address=127.0.0.1", "--bind-interfaces", f"--addn-hosts={self.hosts}",
            f"--user={getpass.getuser()}", f"--pid-file={directory}/pid", "--log-facility=-", *options,
        ]  # fmt: skip
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def say(self, *addresses: str) -> None:
        """Has these addresses from now on."""
        self.hosts.write_text("".join(f"{address} app.test\n" for address in addresses))
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        self.bound.release()
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)
        asking = dns.resolver.Resolver(configure=False)
        asking.nameservers, asking.port, asking.lifetime = ["127.0.0.1"], self.bound.number, 0.1
        for _ in range(100):
            assert self._process.poll() is None, self._process.stderr and self._process.stderr.read()
            with contextlib.suppress(dns.exception.Timeout):
                asking.resolve("app.test", "A", raise_on_no_answer=False)
                return
        raise AssertionError("dnsmasq does not answer")

    def stop(self) -> None:
        """Stops it; nobody answers there then."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


@pytest.fixture
def dnsmasq(tmp_path, port) -> Iterator[Dnsmasq]:
    """dnsmasq, or the reason why it is skipped."""
    with Dnsmasq(program("dnsmasq"), tmp_path, port()) as server:
        yield server


def source(server: Dnsmasq, number: str) -> str:
    """The option that asks it."""
    return (
        f'{{ type = "dns", name = "app.test", port = {number}, resolver = "{server.bound}", family = "ipv4", '
        'ttl_min = "50ms", timeout = "500ms", retry_min = "50ms", retry_max = "200ms" }'
    )


def test_answers_change_under_load(run, port, servers, dnsmasq) -> None:
    """Addresses come and go, the server goes away and comes back with others: 0 failed requests."""
    # One server at every address of 127.0.0.0/8: many endpoints on one port, as a name's addresses have.
    number = str(servers("all", ip="0.0.0.0")[0]).rpartition(":")[2]
    addresses = [f"127.0.0.{last}" for last in range(11, 17)]
    dnsmasq.say(*addresses[:3])
    dnsmasq.start()
    bound = port()
    balancer = run(text(bound, source(dnsmasq, number)))
    has(balancer, *(f"{each}:{number}" for each in addresses[:3]))
    with Load(bound, connections=8) as kept, Load(bound, connections=4, fresh=True) as fresh:
        for turn in range(20):
            chosen = {addresses[(turn + offset) % len(addresses)] for offset in (0, 1, 3)}
            dnsmasq.say(*chosen)
            has(balancer, *(f"{each}:{number}" for each in chosen))
            kept.wait_for(50)
        dnsmasq.stop()
        balancer.wait_log("discovery failed", pool="app")
        kept.wait_for(100)
        has(balancer, *(f"{each}:{number}" for each in chosen))
        dnsmasq.say(*addresses)
        dnsmasq.start()
        has(balancer, *(f"{each}:{number}" for each in addresses))
        # A name without addresses is more likely a mistake than meant.
        dnsmasq.say()
        balancer.wait_log("discovery failed", reason="nxdomain")
        kept.wait_for(100)
        has(balancer, *(f"{each}:{number}" for each in addresses))
    kept.assert_clean()
    fresh.assert_clean()
    print(f"{kept.count + fresh.count:,} requests while answers changed, 0 failed")
    for endpoint in balancer.status()["pools"][0]["endpoints"]:
        assert endpoint["failures"] == 0


def test_srv_records(run, port, servers, tmp_path) -> None:
    """Port, weight and priority of each record; the next priority stands by."""
    backends = servers("a", "b", "c")
    numbers = [str(each).rpartition(":")[2] for each in backends]
    records = [
        f"--srv-host=_http._tcp.test,app.test,{number},{priority},{weight}"
        for number, priority, weight in zip(numbers, (10, 10, 20), (3, 1, 1), strict=True)
    ]
    with Dnsmasq(program("dnsmasq"), tmp_path, port(), *records) as server:
        server.say("127.0.0.1")
        server.start()
        bound = port()
        balancer = run(text(bound, f'{{ type = "srv", name = "_http._tcp.test", resolver = "{server.bound}" }}'))
        has(balancer, *backends)
        found = {
            each["address"]: (each["weight"], each["priority"]) for each in balancer.status()["pools"][0]["endpoints"]
        }
        assert found == {str(backends[0]): (3, 0), str(backends[1]): (1, 0), str(backends[2]): (1, 1)}
        with Load(bound, connections=4) as load:
            load.wait_for(400)
        load.assert_clean()
        assert backends[2].served == 0
        assert 2.5 < backends[0].served / backends[1].served < 3.5
