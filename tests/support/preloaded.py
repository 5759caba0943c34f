"""Evenly's processes without Evenly's imports: a process that has all of it loaded forks for each that a test starts.

Loading takes half a second of a core, the same each time, and the tests start some two thousand processes. What a fork
runs is what the console script runs, `evenly.cli.main`, with arguments, environment and standard streams of its own.
The console script itself is started by `tests/unit/cli/test_real_process.py`, by upgrades, and wherever a program
stands before it.
"""

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

MOST = 1 << 17
"""Bytes of a request; the environment is the most of it."""


HOME = Path("/proc/self/ns/net").readlink()
"""The network namespace of the tests; some visit another one."""


class Child:
    """One of its processes, as `subprocess.Popen` would show it."""

    def __init__(self, pid: int, stdout: int, stderr: int) -> None:
        self.pid = pid
        self.stdout: IO[str] = os.fdopen(stdout, errors="replace")
        self.stderr: IO[str] = os.fdopen(stderr, errors="replace")
        self.returncode: int | None = None
        self._ended = os.pidfd_open(pid)

    def wait(self, timeout: float) -> int:
        """Its exit code, negative for a signal; raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("evenly", timeout)
            # Until now it was a zombie, so that nobody else could get its number.
            self.returncode = os.waitstatus_to_exitcode(_ask({"reap": self.pid}))
            os.close(self._ended)
        return self.returncode

    def poll(self) -> int | None:
        """Its exit code, or `None` while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None


def can_start(environment: Mapping[str, str]) -> bool:
    """Whether a fork would see what a process sees that is started here: the same network, and the same packages."""
    is_home = Path("/proc/thread-self/ns/net").readlink() == HOME
    return is_home and environment.get("PYTHONPATH") == os.environ.get("PYTHONPATH")


def start(command: Sequence[str], environment: Mapping[str, str]) -> Child:
    """Starts `command`, whose first word is the console script."""
    (out, out_there), (err, err_there) = os.pipe(), os.pipe()
    try:
        pid = _ask({"command": list(command), "environment": dict(environment)}, out_there, err_there)
    finally:
        os.close(out_there)
        os.close(err_there)
    return Child(pid, out, err)


def finish(command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Runs `command` to its end, as `subprocess.run` would."""
    child = start(command, os.environ)
    written = ["", ""]

    def read(place: int, stream: IO[str]) -> None:
        with stream:
            written[place] = stream.read()

    readers = [threading.Thread(target=read, args=each) for each in enumerate((child.stdout, child.stderr))]
    for reader in readers:
        reader.start()
    try:
        code = child.wait(timeout)
    except subprocess.TimeoutExpired:
        os.kill(child.pid, signal.SIGKILL)
        child.wait(timeout)
        raise
    finally:
        for reader in readers:
            reader.join()
    return subprocess.CompletedProcess(list(command), code, *written)


_asking = threading.Lock()
_parent: socket.socket | None = None


def _ask(request: dict[str, Any], *descriptors: int) -> int:
    # One for each process of the tests, from its first use on.
    global _parent
    with _asking:
        if _parent is None:
            _parent, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with there:
                _parent.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST)
                process = subprocess.Popen(
                    [sys.executable, __file__, str(there.fileno())], pass_fds=[there.fileno()], stdin=subprocess.DEVNULL
                )
            atexit.register(_end, process, _parent)
        socket.send_fds(_parent, [json.dumps(request).encode()], list(descriptors))
        answer = _parent.recv(64)
    assert answer, "the process that starts others has ended"
    return int(answer)


def _end(process: "subprocess.Popen[bytes]", parent: socket.socket) -> None:
    parent.close()
    process.wait()


def _serve(asked: socket.socket) -> None:
    """In the process that has everything loaded: forks until nobody asks any more."""
    while True:
        text, descriptors, *_ = socket.recv_fds(asked, MOST, 2)
        if not text:
            return
        request = json.loads(text)
        if "reap" in request:
            asked.send(str(os.waitpid(request["reap"], 0)[1]).encode())
            continue
        pid = os.fork()
        if pid == 0:
            _become(asked, descriptors, request)
        for each in descriptors:
            os.close(each)
        asked.send(str(pid).encode())


def _become(asked: socket.socket, descriptors: list[int], request: dict[str, Any]) -> None:
    """In the fork: what the console script does."""
    try:
        asked.close()
        for number, each in enumerate(descriptors, start=1):
            os.dup2(each, number)
            os.close(each)
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = request["command"]
        # What an upgrade starts.
        sys.orig_argv = [sys.executable, *sys.argv]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        main()
    finally:
        # Never back into the loop of the parent's.
        os._exit(1)


if __name__ == "__main__":
    # The directory of this file would hide packages behind the modules in it.
    sys.path.pop(0)
    # What `evenly run` imports sooner or later.
    import evenly.api.app
    import evenly.api.server
    import evenly.cli.application
    import evenly.control.life  # noqa: F401
    from evenly.cli import main

    # A Ctrl-C in the terminal is for the tests, which end what they have started.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve(socket.socket(fileno=int(sys.argv[1])))
