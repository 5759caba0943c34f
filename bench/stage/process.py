"""A started program: its CPU time, its memory, and its certain end."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# A proxy that has not opened its port by then will not: 10,000 routes take seconds to read, and under valgrind
# everything takes about fifty times as long.
START_SECONDS = 60.0
VALGRIND_START_SECONDS = 180.0

# Time that a program gets to end by itself after SIGTERM before SIGKILL.
STOP_SECONDS = 3.0


@dataclass(frozen=True)
class Memory:
    """User memory of all processes of one program, in bytes."""

    private: int
    proportional: int


class Running:
    """One started program with everything that it forked; lives in a session of its own."""

    def __init__(self, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.popen = popen
        self.log = log

    def pids(self) -> list[int]:
        """Every process of the program: the one started, and what shares its session."""
        session = self.popen.pid
        pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        return [pid for pid in pids if _session_of(pid) == session]

    def cpu_ns(self) -> int:
        """CPU time so far, user and kernel, in nanoseconds, over all threads of all processes.

        Source: the first field of ``/proc/PID/task/TID/schedstat``.
        """
        tasks = (task for pid in self.pids() for task in Path(f"/proc/{pid}/task").glob("*/schedstat"))
        return sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks)

    def memory(self) -> Memory:
        """User memory now; what the kernel holds for sockets is not in it. Source: ``/proc/PID/smaps_rollup``."""
        texts = [Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii") for pid in self.pids()]
        return Memory(
            private=sum(_kibibytes(text, "Private_Clean") + _kibibytes(text, "Private_Dirty") for text in texts) * 1024,
            proportional=sum(_kibibytes(text, "Pss") for text in texts) * 1024,
        )

    def await_ports(self, ports: list[int], seconds: float) -> None:
        """Return once every port accepts a connection; raise ``RuntimeError`` with the log's end if one does not."""
        deadline = time.monotonic() + seconds
        for port in ports:
            while not _accepts(port):
                if self.popen.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"no answer on port {port}: {self.log_end()}")
                time.sleep(0.02)

    def log_end(self) -> str:
        """The last lines that the program wrote, for an error message."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:])

    def stop(self) -> None:
        """End the program and all that it forked: SIGTERM, then SIGKILL."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.popen.pid, number)
            except ProcessLookupError:
                break
            try:
                self.popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue
        self.popen.wait()


@contextmanager
def started(
    command: list[str], log: Path, ports: list[int], seconds: float = START_SECONDS, directory: Path | None = None
) -> Iterator[Running]:
    """Run a program until the end of the block; it accepts connections on all ``ports`` when the block begins."""
    with log.open("wb") as output:
        popen = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=directory
        )
    running = Running(popen, log)
    try:
        running.await_ports(ports, seconds)
        yield running
    finally:
        running.stop()


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def _kibibytes(rollup: str, field: str) -> int:
    match = re.search(rf"^{field}:\s+(\d+) kB$", rollup, re.MULTILINE)
    return int(match.group(1)) if match else 0
