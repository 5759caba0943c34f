"""Programs that others wrote, which tests talk to."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .balancer import Lines
from .ports import Port
from .wire import DEADLINE, Peer


def program(name: str) -> str:
    """Where a program is.

    Its test is skipped where it is not installed, and says so: only root can install it, and no other test needs it.
    `.ci/run` installs what Debian has.
    """
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    # The one reason to skip: see above.
    return found or pytest.skip(f"{name} is not installed")


def built_by_go(name: str, package: str, into: Path) -> Path:
    """A program of which Debian has no package, or one that is too old; Go keeps what it has fetched and compiled.

    `go.mod` in the folder of this name pins what it is made of, and `go.sum` says what that is.
    """
    built = into / name
    command = [program("go"), "build", "-mod=readonly", "-buildvcs=false", "-o", built, package]
    sources = Path(__file__).parent / name
    done = subprocess.run(command, cwd=sources, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        # Debian has no package of it: where its sources cannot be fetched, or this Go is too old for them, there is
        # nothing to run, and that is no fault of what is tested.
        pytest.skip(f"{name} could not be built: {done.stderr[-200:]}")
    return built


@contextmanager
def running(command: list[str], bound: Port) -> Iterator[None]:
    """A program that listens on a reserved port."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        while True:
            try:
                Peer.connect(bound.address).close()
            except ConnectionRefusedError:
                assert process.poll() is None, process.stderr and process.stderr.read()
                continue
            break
        yield
    finally:
        process.terminate()
        process.wait(DEADLINE)


@contextmanager
def nginx(directory: Path, server: str, top: str = "") -> Iterator[None]:
    """nginx with one server, and `top` beside it. The server says where it listens with `reuseport`: the port may be
    reserved meanwhile."""
    file = directory / "nginx.conf"
    file.write_text(
        f"daemon off; master_process off; pid {directory}/pid; error_log stderr notice;\n"
        f"events {{}}\nhttp {{ access_log off; {top} server {{ {server} }} }}\n"
    )
    process = subprocess.Popen(
        [program("nginx"), "-c", str(file), "-p", str(directory)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    log = Lines(process.stderr)
    try:
        # Said once the sockets listen.
        log.wait(lambda line: "OS: " in line)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)
