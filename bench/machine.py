"""The machine that the figures belong to, and which core does what on it."""

import contextlib
import os
import platform
import random
import re
import resource
import socket
import subprocess
from pathlib import Path

# The limit of open files that systemd gives a service at most, unless it is told otherwise.
DESCRIPTORS = 524_288

# The proxy has this core for itself; load generator and origin share the other one, so that they cannot take
# time from the proxy and the proxy's caches hold only its own data.
PROXY_CORE = 0
LOAD_CORE = 1

# Below the range from which the kernel takes source ports (32768 and up by default): a port found free here is not
# taken by one of the load's own connections before the peer binds it.
PORTS = range(12_000, 32_000)


def describe() -> dict[str, str]:
    """Name processor, cores, memory, kernel, and how busy the machine was when it was asked."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": model.group(1) if model else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load before the run": f"{os.getloadavg()[0]:.2f}",
    }


def pinned(core: int, command: list[str]) -> list[str]:
    """Put a command, and all that it starts, on one core."""
    return ["taskset", "--cpu-list", str(core), *command]


def missing_cores() -> str | None:
    """Say why this machine cannot keep proxy and load apart, or ``None`` when it can."""
    usable = os.sched_getaffinity(0)
    if {PROXY_CORE, LOAD_CORE} <= usable:
        return None
    return f"cores {PROXY_CORE} and {LOAD_CORE} are needed, usable are {sorted(usable)}"


def raise_descriptor_limit() -> int:
    """Lift the limit of open files for all that is started from here, and return it: as root to what services commonly
    get, else to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(hard, DESCRIPTORS), hard):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return limit
    return hard


def free_ports(count: int) -> list[int]:
    """Find ports of 127.0.0.1 that nobody listens on, all different."""
    found: list[int] = []
    candidates = list(PORTS)
    random.shuffle(candidates)
    for port in candidates:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"fewer than {count} free ports between {PORTS.start} and {PORTS.stop}")


def first_line(command: list[str], pattern: str) -> str:
    """Run a version command and take what ``pattern`` captures in its output; "unknown" where it does not match."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return "absent"
    match = re.search(pattern, done.stdout + done.stderr)
    return match.group(1) if match else "unknown"
