"""``python -m bench.flows``: whether UDP relays lose datagrams below their knee, and what 100,000 sessions take.

Each contender is asked for its most in a closed loop, and then gets a fixed rate below that; every datagram that does
not come back is counted. Then Evenly gets flows from many addresses and ports: as many as `max_sessions` by itself, and
as many again, which must cost nothing and be counted.
"""

import argparse
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import load, machine
from bench.peers import EVENLY, NGINX_TCP, Contender, install
from bench.rows.health import metrics
from bench.stage import Stage, Started, set_up

CLIENTS, SIZE, WINDOW, SECONDS = 64, 512, 8, 3

BELOW = 0.55
"""The share of its most that a contender gets: well below the knee, where a queue that overflows is a defect."""

ENDPOINTS = 40
"""So many that a socket for each session of one of them is no more than a few thousand."""

FLOWS = 100_000
"""What `max_sessions` of a listener is by itself."""

SESSIONS = re.compile(r"^evenly_session_(table_bytes|sockets)\{.*\} (\d+)", re.MULTILINE)
REFUSED = re.compile(r'^evenly_terminations_total\{.*reason="overload".*\} (\d+)', re.MULTILINE)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.flows", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs at the fixed rate")
    options = parser.parse_args(argv)
    install.bring(print)
    if reason := machine.missing_cores() or EVENLY.absent():
        print(f"flows: {reason}", file=sys.stderr)
        return 1
    with set_up() as stage:
        is_good = below_the_knee(stage, options.runs)
        return 0 if many(stage) and is_good else 1


@contextmanager
def echoing(stage: Stage) -> Iterator[None]:
    """The endpoints, on the load's core; their ports of UDP are others than those of TCP."""
    command = [str(load.DATAGRAMS), "echo", str(stage.origin), str(ENDPOINTS)]
    echo = subprocess.Popen(machine.pinned(machine.LOAD_CORE, command), stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        echo.terminate()
        echo.wait()


def below_the_knee(stage: Stage, runs: int) -> bool:
    """Whether Evenly lost nothing at a rate that it can take."""
    print(f"{'':<10}{'most/s':>12}{'rate/s':>12}{'sent':>12}{'lost':>8}")
    lost = {}
    for peer in (EVENLY, NGINX_TCP):
        if reason := peer.absent():
            print(f"{peer.name:<10}{reason}")
            continue
        with echoing(stage), stage.start(Contender(peer.name, peer)) as started:
            most = statistics.median(closed(started) for _ in range(3))
            seen = [load.steady_datagrams(started.tcp, CLIENTS, SIZE, int(most * BELOW), SECONDS) for _ in range(runs)]
        sent, lost[peer.name] = (sum(column) for column in zip(*seen, strict=True))
        print(f"{peer.name:<10}{most:>12,.0f}{most * BELOW:>12,.0f}{sent:>12,}{lost[peer.name]:>8,}", flush=True)
    return lost["evenly"] == 0


def closed(started: Started) -> float:
    """Exchanges a second, as many as there can be."""
    exchanges, _, took = load.datagrams(started.tcp, CLIENTS, SIZE, WINDOW, SECONDS)
    return exchanges / took


def many(stage: Stage) -> bool:
    """Whether the sessions of a full table are all served, and those beyond it cost next to nothing and are counted."""
    endpoints = ", ".join(f'"127.0.0.{number}:@ORIGIN@"' for number in range(1, ENDPOINTS + 1))
    contender = Contender("evenly-flows", EVENLY, {"ENDPOINTS": endpoints})
    with echoing(stage), stage.start(contender) as started:
        assert started.running is not None
        admin = stage.admin(contender.label)
        load.datagrams(started.tcp, CLIENTS, SIZE, WINDOW, 1)
        told(admin)
        at_first = started.running.memory().private
        answered = load.flows(started.tcp, 0, FLOWS - CLIENTS)
        tables, sockets, _ = told(admin)
        full = started.running.memory().private
        beyond = load.flows(started.tcp, FLOWS, FLOWS)
        refused = told(admin)[2]
        after = started.running.memory().private
    each = (full - at_first) / answered
    print(f"{answered:,} flows of {FLOWS - CLIENTS:,} answered: {each:,.0f} bytes each in user memory")
    print(f"of these {tables / answered:,.0f} bytes in tables; {sockets:,} sockets in all")
    grown = (after - full) / 2**20
    print(f"{FLOWS:,} flows more: {beyond:,} answered, {refused:,} refused and counted, {grown:+.1f} MiB")
    return answered == FLOWS - CLIENTS and (beyond, refused) == (0, FLOWS) and grown < 1


def told(admin: Path) -> tuple[int, int, int]:
    """What the metrics say: bytes of tables, sockets, and datagrams that found no session."""
    text = metrics(admin)
    kinds = {"table_bytes": 0, "sockets": 0}
    for kind, count in SESSIONS.findall(text):
        kinds[kind] += int(count)
    return kinds["table_bytes"], kinds["sockets"], sum(map(int, REFUSED.findall(text)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
