"""``python -m bench.resilience``: what failing endpoints cost clients, and what retries cost endpoints.

Two scenes with Evenly alone, at a fixed rate: one of five endpoints answers 503 to every other request; all of three do
to all, for half a minute, and come back. Ends with 1 when a bound is not held.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import machine
from bench.peers import EVENLY, Contender, install
from bench.stage import Stage, set_up

RATE = 500

POLICY = """
retry = { on = ["5xx"] }
outlier_detection = { interval = "500ms", success_rate_request_volume = 20 }
"""

OUTAGE = """
retry = { attempts = 3, on = ["5xx"] }
outlier_detection = true
circuit_breaker = { base_open_time = "1s", max_open_time = "1s" }
health_check = { type = "http", path = "/healthz", interval = "500ms", unhealthy_after = 2, healthy_after = 1 }
"""

BOUNDS = {"errors_percent_later": 0.1, "amplification": 1.2, "amplification_on_return": 1.2, "recovery_seconds": 3.0}
"""What each figure is at most; errors are bounded from three seconds after the failure on."""

ROOT = Path(__file__).parent.parent


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.resilience", description=__doc__)
    parser.add_argument("--seconds", type=int, default=30, help="how long the outage lasts")
    options = parser.parse_args(argv)
    install.bring(print)
    if reason := machine.missing_cores() or EVENLY.absent():
        print(f"resilience: {reason}", file=sys.stderr)
        return 1
    is_good = True
    with set_up() as stage:
        for label, policy, endpoints, scene in (
            ("one-of-five", POLICY, 5, ["half"]),
            ("outage", OUTAGE, 3, ["outage", str(options.seconds)]),
        ):
            for figure, value in played(stage, Contender(label, EVENLY, {"BALANCE": policy}), endpoints, scene).items():
                bound = BOUNDS.get(figure)
                is_good &= bound is None or value <= bound
                print(
                    f"{label:<14}{figure:<26}{value:>8.3f}{'' if bound is None else f'  at most {bound}'}", flush=True
                )
    return 0 if is_good else 1


def played(stage: Stage, contender: Contender, endpoints: int, scene: Sequence[str]) -> dict[str, float]:
    """The figures of a scene."""
    ports = machine.free_ports(endpoints)
    listed = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    contender = Contender(contender.label, contender.peer, {**contender.values, "ENDPOINTS": listed})
    with stage.start(contender) as started:
        command = [sys.executable, "-m", "bench.load.failing", str(started.http), str(RATE), *scene, *map(str, ports)]
        playing = subprocess.Popen(
            machine.pinned(machine.LOAD_CORE, command),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with playing:
            assert playing.stdout is not None
            assert playing.stdout.readline() == "ready\n"
            figures: dict[str, float] = json.loads(playing.communicate("go\n", timeout=120)[0])
            return figures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
