"""The load: wrk, h2load, steady.c for a fixed rate, handshakes.c for TLS, and datagrams.c for UDP; slow.c is what slow
endpoints are.

Each on the load's core, each bounded by time or count. Over TLS each offers what ``openssl.cnf`` says and nothing else.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench import machine
from bench.load import parse
from bench.load.parse import Load
from bench.peers import INSTALLED

# What a load may take beyond its own bound before it counts as hanging, in seconds.
GRACE_SECONDS = 30.0

SOURCES = Path(__file__).parent
STEADY = INSTALLED / "steady"
SLOW = INSTALLED / "slow"
DATAGRAMS = INSTALLED / "datagrams"
HANDSHAKES = INSTALLED / "handshakes"

# wrk and handshakes.c take the file's lists; h2load sets its own after reading it.
TLS_DEFAULTS = SOURCES / "openssl.cnf"
TLS_OFFER = ("--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--groups=X25519")


def wrk(url: str, connections: int, seconds: int, headers: Sequence[str] = (), script: Path | None = None) -> Load:
    """As many requests as fit into ``seconds``, one at a time on each connection."""
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    command += ["--latency", "--timeout", "10s"]
    for header in headers:
        command += ["--header", header]
    if script is not None:
        command += ["--script", str(script)]
    return parse.wrk(_run([*command, url], seconds))


def counted(url: str, connections: int, requests: int) -> Load:
    """Exactly ``requests`` requests, one at a time on each connection."""
    command = ["h2load", "--h1", *TLS_OFFER, "--clients", str(connections), "--requests", str(requests), url]
    return parse.h2load(_run(command, 120))


def multiplexed(url: str, connections: int, streams: int, seconds: int) -> Load:
    """As many HTTP/2 requests as fit into ``seconds``, ``streams`` at a time on each connection.

    Raises ``RuntimeError`` when it is another protocol.
    """
    command = ["h2load", *TLS_OFFER, "--clients", str(connections), "--max-concurrent-streams", str(streams)]
    told = _run([*command, "--duration", str(seconds), url], seconds)
    # h2load goes on with HTTP/1.1 where that is all that it is offered.
    if "Application protocol: h2\n" not in told:
        raise RuntimeError("no HTTP/2 was agreed on")
    return parse.h2load(told)


def handshakes(port: int, clients: int, seconds: int, *, resumed: bool) -> tuple[int, float]:
    """TLS 1.3 handshakes, one after the other on each client: how many, and in how many seconds.

    Raises ``RuntimeError`` when one fails, or is not of the kind that was asked for.
    """
    command = [str(HANDSHAKES), str(port), str(clients), str(seconds), "resumed" if resumed else "full"]
    count, took = _run(command, seconds).split()
    return int(count), float(took)


def steady(port: int, connections: int, rate: int, seconds: int) -> list[float]:
    """A fixed rate of requests; returns their latencies, ascending, in µs, from the moment each was due.

    Raises ``RuntimeError`` when any request fails. Why not h2load: its ``--rps`` starts all connections' periods at
    once, so requests come in bursts, and it takes the latency from when it got around to sending.
    """
    command = [str(STEADY), str(port), str(connections), str(rate), str(rate * seconds)]
    return sorted(map(float, _run(command, seconds).split()))


def datagrams(port: int, clients: int, size: int, window: int, seconds: int) -> tuple[int, int, float]:
    """Exchanges of datagrams over UDP: how many, how many were lost, and in how many seconds."""
    command = [str(DATAGRAMS), "load", *map(str, (port, clients, size, window, seconds))]
    exchanges, lost, took = _run(command, seconds).split()
    return int(exchanges), int(lost), float(took)


def steady_datagrams(port: int, clients: int, size: int, rate: int, seconds: int) -> tuple[int, int]:
    """A fixed rate of datagrams over UDP: how many were sent, and how many did not come back."""
    sent, lost = _run([str(DATAGRAMS), "steady", *map(str, (port, clients, size, rate, seconds))], seconds).split()
    return int(sent), int(lost)


def flows(port: int, first: int, count: int) -> int:
    """One datagram from each of so many addresses and ports: how many were answered."""
    # Those that are not answered wait for a second, 2,000 at a time.
    return int(_run([str(DATAGRAMS), "flows", *map(str, (port, first, count))], count / 2_000))


def _run(command: list[str], seconds: float) -> str:
    """Run a load to its end and return what it printed; raise ``RuntimeError`` if it fails or hangs."""
    try:
        done = subprocess.run(
            machine.pinned(machine.LOAD_CORE, command),
            capture_output=True,
            text=True,
            timeout=seconds + GRACE_SECONDS,
            check=False,
            env={**os.environ, "OPENSSL_CONF": str(TLS_DEFAULTS)},
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{command[0]} did not end within {seconds + GRACE_SECONDS:.0f} s") from None
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout
