"""`evenly run` as a process, started as the console script would (`preloaded.py`): ready, watched and ended.

Readiness is the datagram that systemd would get; changes are lines of the log. Every process is ended by its own id.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Self

import httpx

from . import preloaded
from .ports import Port
from .wire import DEADLINE, Peer

# Starting takes half a second on an idle machine; two test processes and their balancers may share two cores.
START = 30.0


def console_script() -> str:
    """The installed `evenly`: beside this interpreter, or on the path."""
    beside = Path(sysconfig.get_path("scripts"), "evenly")
    found = str(beside) if beside.exists() else shutil.which("evenly")
    assert found, "the console script `evenly` is not installed; run `make build`"
    return found


def run_verb(*arguments: str, expect: int = 0, timeout: float = START) -> subprocess.CompletedProcess[str]:
    """Runs one `evenly` command to its end."""
    done = preloaded.finish([console_script(), *arguments], timeout)
    assert done.returncode == expect, f"evenly {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


class Lines:
    """The lines of a stream as they come, read by a thread, waited for by tests."""

    def __init__(self, stream: IO[str]) -> None:
        self.all: list[str] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def wait(self, matches: Callable[[str], bool], after: int = 0, deadline: float = DEADLINE) -> str:
        """The first line, from number `after` on, that matches; waits for it."""
        seen = after
        ends = time.monotonic() + deadline
        with self._changed:
            while True:
                for line in self.all[seen:]:
                    if matches(line):
                        return line
                seen = max(seen, len(self.all))
                if not self._changed.wait(ends - time.monotonic()) and len(self.all) <= seen:
                    raise AssertionError("the line that was waited for did not come; so far:\n" + "\n".join(self.all))

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._changed:
                self.all.append(line.rstrip("\n"))
                self._changed.notify_all()


class Balancer:
    """One running Evenly with its files in a directory of its own; `through` is a program that becomes it."""

    def __init__(
        self,
        text: str | None,
        *,
        arguments: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
        descriptors: tuple[socket.socket, ...] = (),
        descriptor_limit: int | None = None,
        through: tuple[str, ...] = (),
    ) -> None:
        # A short path, because a Unix socket's has at most 107 bytes.
        self.process: subprocess.Popen[str] | preloaded.Child
        self.directory = Path(tempfile.mkdtemp(prefix="evenly-"))
        self.file = self.directory / "evenly.toml"
        self.admin_path = self.directory / "admin.sock"
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notified.bind(str(self.directory / "notify"))
        command = [console_script(), "run", *arguments]
        if text is not None:
            self.file.write_text(text)
            command.append(str(self.file))
        environment = os.environ | {
            "NOTIFY_SOCKET": str(self.directory / "notify"),
            "RUNTIME_DIRECTORY": str(self.directory),
        } | dict(environment or {})  # fmt: skip
        if descriptor_limit is not None:
            # In a shell that becomes Evenly: code between fork and exec is not safe beside the threads of the tests.
            command = ["bash", "-c", f'ulimit -n {descriptor_limit}; exec "$@"', "evenly", *command]
        if descriptors or through or descriptor_limit is not None or not preloaded.can_start(environment):
            self.process = _start([*through, *command], environment, descriptors)
        else:
            self.process = preloaded.start(command, environment)
        assert self.process.stderr is not None
        assert self.process.stdout is not None
        self.log = Lines(self.process.stderr)
        self.output = Lines(self.process.stdout)
        self.pid = self.process.pid
        transport = httpx.HTTPTransport(uds=str(self.admin_path))
        self.admin = httpx.Client(transport=transport, base_url="http://localhost", timeout=DEADLINE * 2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def until_ready(self) -> Self:
        """Waits for `READY=1`. Fails with the log if the process ends first."""
        self.notification("READY=1")
        return self

    def notification(self, expected: str, deadline: float = START) -> str:
        """The next datagram to systemd that has this line; the ones before it are dropped."""
        process = os.pidfd_open(self.process.pid)
        ends = time.monotonic() + deadline
        try:
            while True:
                watched = [self._notified, process]
                readable = select.select(watched, [], [], max(0, ends - time.monotonic()))[0]
                if self._notified in readable:
                    text = self._notified.recv(4096).decode()
                    if expected in text.splitlines():
                        return text
                else:
                    ended = f"ended with {self.process.wait(DEADLINE)}" if readable else "is silent"
                    raise AssertionError(f"no {expected}; the process {ended}:\n" + "\n".join(self.log.all))
        finally:
            os.close(process)

    def wait_log(self, event: str, after: int = 0, deadline: float = DEADLINE, **fields: object) -> dict[str, Any]:
        """The first line of the control plane's log with this event and these fields; waits for it."""

        def matches(line: str) -> bool:
            try:
                entry = json.loads(line)
            except ValueError:
                return False
            return entry.get("event") == event and all(entry.get(key) == value for key, value in fields.items())

        entry: dict[str, Any] = json.loads(self.log.wait(matches, after, deadline))
        return entry

    def status(self) -> dict[str, Any]:
        """`GET /api/status`."""
        return self._json(self.admin.get("/api/status"))

    def endpoint(self, address: object, pool: str = "app") -> dict[str, Any]:
        """The status of one endpoint."""
        found = self._json(self.admin.get(f"/api/pools/{pool}"))
        return next(each for each in found["endpoints"] if each["address"] == str(address))

    def set_endpoint(self, address: object, pool: str = "app", **change: object) -> dict[str, Any]:
        """Sets state, weight or both of one endpoint."""
        return self._json(self.admin.put(f"/api/pools/{pool}/endpoints/{address}", json=change))

    def reload(self, text: str | None = None) -> dict[str, Any]:
        """Writes the file, if there is a new text, and reloads over the API; what changed."""
        if text is not None:
            self.file.write_text(text)
        return self._json(self.admin.post("/api/reload"))

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples with this name and these labels; 0 if there are none."""
        from prometheus_client.parser import text_string_to_metric_families

        samples = [
            sample.value
            for family in text_string_to_metric_families(self.admin.get("/metrics").text)
            for sample in family.samples
            if sample.name == name and all(sample.labels.get(key) == value for key, value in labels.items())
        ]
        return sum(samples)

    def until(self, holds: Callable[[], object], deadline: float = DEADLINE) -> None:
        """Asks until it holds. For figures that follow an answer by a moment, such as counters."""
        ends = time.monotonic() + deadline
        while not holds():
            assert time.monotonic() < ends, "it does not hold within the deadline"

    def access(self, **fields: object) -> dict[str, Any]:
        """The first line of the access log on standard output with these fields; waits for it."""

        def matches(line: str) -> bool:
            entry = json.loads(line)
            return all(entry.get(key) == value for key, value in fields.items())

        entry: dict[str, Any] = json.loads(self.output.wait(matches))
        return entry

    def memory(self) -> int:
        """Resident memory in bytes, now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu(self) -> float:
        """CPU time of the workers so far, in seconds. Source: the first field of `/proc/PID/task/TID/schedstat`.

        Without the control plane's, which has things of its own to do after its start.
        """
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        workers = [task for task in tasks if (task / "comm").read_text().startswith("evenly-worker")]
        assert workers
        return sum(int((task / "schedstat").read_text().split()[0]) for task in workers) / 1e9

    def pipe_ends(self) -> int:
        """Descriptors of the process that are ends of pipes, now."""
        found = 0
        for each in Path(f"/proc/{self.pid}/fd").iterdir():
            # One that was listed may be closed by now.
            with contextlib.suppress(FileNotFoundError):
                found += str(each.readlink()).startswith("pipe:")
        return found

    def follow(self, pid: int) -> None:
        """After an upgrade: the process to look at and to end is another one."""
        self.pid = pid

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        os.kill(self.pid, number)

    def wait(self, deadline: float = START) -> int:
        """Waits until the process that was started has ended; its exit code."""
        return self.process.wait(deadline)

    def end(self) -> None:
        """Ends every process of it: SIGTERM, again, and SIGKILL only if that did not help. Shows the logs."""
        self.admin.close()
        endings = [_end(pid) for pid in {self.pid, self.process.pid}]
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(DEADLINE)
        print("configuration:", self.file.read_text() if self.file.exists() else "-", sep="\n", file=sys.stdout)
        print("log:", *self.log.all, "access log:", *self.output.all[-50:], sep="\n", file=sys.stdout)
        self._notified.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        assert all(endings), "the process had to be killed"
        assert not [line for line in self.log.all if "panicked" in line], "a panic in the packet path"

    @staticmethod
    def _json(answer: httpx.Response) -> Any:
        assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
        return answer.json()


def _start(
    command: list[str], environment: dict[str, str], descriptors: tuple[socket.socket, ...]
) -> subprocess.Popen[str]:
    if descriptors:
        # sd_listen_fds(3): the sockets are the descriptors from 3 on, for the process that LISTEN_PID names. Only the
        # shell that becomes Evenly knows that id in time.
        moves = " ".join(f"{3 + index}<&{each.fileno()}" for index, each in enumerate(descriptors))
        script = f'exec {moves}; LISTEN_FDS={len(descriptors)} LISTEN_PID=$$ exec "$@"'
        command = ["bash", "-c", script, "evenly", *command]
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        pass_fds=[each.fileno() for each in descriptors],
    )


def _end(pid: int) -> bool:
    """Ends one process; whether it went by itself."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        # The first SIGTERM drains, the second ends at once.
        for number, patience in ((signal.SIGTERM, 0.2), (signal.SIGTERM, DEADLINE), (signal.SIGKILL, DEADLINE)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            if select.select([process], [], [], patience)[0]:
                return number is not signal.SIGKILL
        return False
    finally:
        os.close(process)


def configuration(
    *endpoints: object,
    bind: Port,
    top: str = "",
    listener: str = "",
    pool: str = "",
    routes: str = "",
    workers: int = 1,
) -> str:
    """The text of a file with one HTTP listener `web` and one pool `app`; each part can be added to."""
    listed = ", ".join(str(each) if str(each).startswith("{") else f'"{each}"' for each in endpoints)
    return f"""
workers = {workers}
{top}
[listeners.web]
bind = "{bind}"
{listener}
[pools.app]
endpoints = [{listed}]
{pool}
{routes}
"""


class Web:
    """A balancer with one listener, and the way to it."""

    def __init__(self, balancer: Balancer, port: Port) -> None:
        self.balancer = balancer
        self.port = port
        self.h3: Callable[..., Any] | None = None
        """Connects by HTTP/3, if the listener speaks it."""
        self._peers: list[Peer] = []

    def connect(self, **options: Any) -> Peer:
        """A new client connection; closed at the end of the test at the latest."""
        peer = Peer.connect(self.port.address, **options)
        self._peers.append(peer)
        return peer

    def hang_up(self) -> None:
        """Closes every client connection that is left."""
        for peer in self._peers:
            peer.close()
        self._peers.clear()
