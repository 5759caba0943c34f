"""``python -m bench.abuse``: what attacks by HTTP/2 cost Evenly, their authors, and good clients beside them.

Good clients send at a fixed rate, in turns beside an attacker and beside one that makes the same and sends nothing. It
shares their core, as idle work; that alone is felt, so the difference between the two is what tells.
"""

import argparse
import statistics
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import load, machine
from bench.load.attacks import ATTACKS
from bench.peers import EVENLY, Contender, install
from bench.stage import Running, Started, set_up

CONNECTIONS = 16
RATE = 2_000
SECONDS = 2
# How often the memory is looked at, in seconds.
LOOK = 0.02

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Seen:
    """One run: latency in µs, CPU time in seconds, memory in bytes above what it was before."""

    p99: float
    cpu: float
    attacker_cpu: float = 0.0
    memory: int = 0
    cut: int = 0
    sent: int = 0


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.abuse", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs with and without each attack")
    options = parser.parse_args(argv)
    install.bring(print)
    if reason := machine.missing_cores() or EVENLY.absent():
        print(f"abuse: {reason}", file=sys.stderr)
        return 1
    print(f"{'attack':<20}{'p99':>8}{'CPU':>8}{'memory':>10}{'cut off':>9}{'bytes each':>12}")
    with set_up() as stage, stage.start(Contender("evenly", EVENLY)) as started:
        assert started.running is not None
        good(started)
        for name in ATTACKS:
            pairs = [
                (beside(started, started.running, name, 0), beside(started, started.running, name, started.http))
                for _ in range(options.runs)
            ]
            print(line(name, pairs), flush=True)
    print("p99 of good clients: × with an attacker that sends nothing")
    print("CPU: Evenly's for the attack, × the attacker's own · memory: MB at most")
    return 0


def beside(started: Started, running: Running, name: str, port: int) -> Seen:
    """The good clients, and the attack of that name on this port."""
    before, cpu = running.memory().private, running.cpu_ns()
    most = before
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(LOOK):
            most = max(most, running.memory().private)

    watcher = threading.Thread(target=watch)
    watcher.start()
    # As idle work: the good clients, on the same core, go first.
    command = ["chrt", "--idle", "0", sys.executable, "-m", "bench.load.attacks", name, str(port), str(SECONDS)]
    attacker = subprocess.Popen(machine.pinned(machine.LOAD_CORE, command), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        p99 = good(started)
        told, _ = attacker.communicate(timeout=SECONDS + load.GRACE_SECONDS)
    finally:
        attacker.kill()
        over.set()
        watcher.join()
    cut, sent, theirs = told.split()
    cost = (running.cpu_ns() - cpu) / 1e9
    return Seen(p99, cost, float(theirs), most - before, int(cut), int(sent))


def good(started: Started) -> float:
    """The p99 of good clients; none of their requests may fail."""
    latencies = load.steady(started.http, CONNECTIONS, RATE, SECONDS)
    return latencies[int(len(latencies) * 0.99)]


def line(name: str, pairs: Sequence[tuple[Seen, Seen]]) -> str:
    """The medians of all pairs."""
    p99 = statistics.median(with_it.p99 / without.p99 for without, with_it in pairs)
    cpu = statistics.median((with_it.cpu - without.cpu) / with_it.attacker_cpu for without, with_it in pairs)
    memory = max(with_it.memory for _, with_it in pairs) / 1e6
    cut = sum(with_it.cut for _, with_it in pairs)
    sent = sum(with_it.sent for _, with_it in pairs)
    each = f"{sent / cut:,.0f}" if cut else "never cut off"
    return f"{name:<20}{p99:>7.2f}×{cpu:>7.2f}×{memory:>10.2f}{cut:>9,}{each:>12}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
