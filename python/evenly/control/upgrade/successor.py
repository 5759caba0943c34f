"""The old process's side of an upgrade: start a successor, hand over, and drain only once it serves."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence

from evenly.control.upgrade.handover import Inheritance, receive_message, send_inheritance, send_message
from evenly.control.upgrade.predecessor import VARIABLE

READY_SECONDS = 60.0
"""How long a successor may take to serve. Starting takes well under a second; resolving names may take tens."""

# They concern the process that systemd started: a successor has no sockets at descriptor 3 and another process id.
_NOT_PASSED_ON = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID")


class UpgradeError(Exception):
    """The successor does not serve, and says or shows why. The running process goes on untouched."""


class Successor:
    """A new process that serves beside this one and waits for the word to take over."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        self._process = process
        self._channel = channel
        self.pid = process.pid

    def take_over(self) -> None:
        """Makes it the process that serves. Raises `UpgradeError` if it has died meanwhile."""
        try:
            send_message(self._channel, {"take": True})
        except OSError as error:
            self.dismiss()
            raise UpgradeError(_end_of(self._process)) from error
        self._channel.close()
        # It outlives this process, which therefore never waits for it: Popen would warn about that.
        self._process.returncode = 0

    def dismiss(self) -> None:
        """Ends it; this process goes on."""
        self._channel.close()
        self._process.kill()
        self._process.wait()


def command() -> list[str]:
    """How this process was started: the same interpreter and arguments, which now find the new code."""
    return [sys.executable, *sys.orig_argv[1:]]


def start_successor(
    inheritance: Inheritance, argv: Sequence[str], environment: Mapping[str, str] = os.environ
) -> Successor:
    """Starts a successor and waits until it serves; blocking, up to `READY_SECONDS`.

    The descriptors stay the caller's. Raises `UpgradeError`; then no second process is left.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        passed = {name: value for name, value in environment.items() if name not in _NOT_PASSED_ON}
        passed[VARIABLE] = str(theirs.fileno())
        try:
            process = subprocess.Popen(argv, env=passed, pass_fds=[theirs.fileno()])
        except OSError as error:
            ours.close()
            raise UpgradeError(f"cannot start {argv[0]}: {error.strerror}") from error
    successor = Successor(process, ours)
    ours.settimeout(READY_SECONDS)
    try:
        send_inheritance(ours, inheritance)
        answer = receive_message(ours)
    except TimeoutError as error:
        successor.dismiss()
        raise UpgradeError(f"the new process did not serve within {READY_SECONDS:g} s") from error
    except (EOFError, OSError, ValueError) as error:
        reason = _end_of(process)
        successor.dismiss()
        raise UpgradeError(reason) from error
    if "failed" in answer:
        successor.dismiss()
        raise UpgradeError(str(answer["failed"]))
    return successor


def _end_of(process: subprocess.Popen[bytes]) -> str:
    """What became of a process that closed its side; it is ending, so a short wait is enough."""
    try:
        code = process.wait(timeout=5.0)
    except subprocess.TimeoutExpired:
        return "the new process closed the connection before it served"
    if code < 0:
        return f"the new process was ended by signal {-code} before it served"
    return f"the new process ended with exit code {code} before it served; its standard error says more"
