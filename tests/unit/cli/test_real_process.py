"""The verbs against one real process: it serves, reloads, refuses a bad file, drains an endpoint, upgrades and ends."""

import json
import os
import signal
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.balancer import Balancer, configuration, run_verb
from tests.support.ports import Port


class _Answering(BaseHTTPRequestHandler):
    """Answers with its own address."""

    def do_GET(self) -> None:
        body = f"127.0.0.1:{self.server.server_address[1]}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def endpoints() -> Iterator[list[str]]:
    """The addresses of two endpoints."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _Answering) for _ in range(2)]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    yield [f"127.0.0.1:{server.server_port}" for server in servers]
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join()


class Running:
    """A balancer over two endpoints, and the verbs that ask it."""

    def __init__(self, port: Port, endpoints: list[str]) -> None:
        self.port, self.endpoints = port, endpoints
        self.balancer = Balancer(configuration(*endpoints, bind=port))

    def write(self, *endpoints: str, misspelt: bool = False) -> None:
        """Another configuration."""
        text = configuration(*endpoints, bind=self.port)
        self.balancer.file.write_text(text.replace("endpoints", "endponts") if misspelt else text)

    def answering(self) -> set[str]:
        """Who answers six requests, each on a connection of its own."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return {opener.open(f"http://{self.port}/", timeout=10).read().decode() for _ in range(6)}

    def evenly(self, *arguments: str, expect: int = 0) -> tuple[str, str]:
        """A verb; what it prints to standard output and standard error."""
        done = run_verb(*arguments, "--admin", str(self.balancer.admin_path), expect=expect)
        return done.stdout, done.stderr


@pytest.fixture
def running(endpoints: list[str]) -> Iterator[Running]:
    """It serves."""
    port = Port()
    run = Running(port, endpoints)
    with run.balancer:
        run.balancer.until_ready()
        yield run
    port.release()


def test_an_endpoint_is_drained_and_put_back(running: Running) -> None:
    first, second = running.endpoints
    assert running.answering() == {first, second}
    assert running.evenly("drain", "app", first)[0].startswith(f"app {first} is draining")
    assert running.answering() == {second}
    running.evenly("ready", "app", first)
    assert running.answering() == {first, second}


def test_a_reload_applies_a_good_file_and_refuses_a_bad_one(running: Running) -> None:
    first, second = running.endpoints
    running.write(first)
    assert running.evenly("reload") == ("generation 2: pools: app changed\n", "")
    assert running.answering() == {first}

    running.write(first, misspelt=True)
    _, error = running.evenly("reload", expect=2)
    assert "pools.app.endponts: unknown key; did you mean `endpoints`?" in error
    assert running.answering() == {first}

    running.write(second)
    running.balancer.signal(signal.SIGHUP)
    running.balancer.wait_log("reloaded", generation=3)
    assert running.answering() == {second}
    assert json.loads(running.evenly("status", "--json")[0])["generation"] == 3


def test_sigterm_ends_it_and_leaves_nothing(running: Running) -> None:
    running.balancer.signal(signal.SIGTERM)
    assert running.balancer.wait() == 0
    assert not running.balancer.admin_path.exists()


def test_a_second_one_is_refused(running: Running) -> None:
    balancer = running.balancer
    error = run_verb("run", str(balancer.file), "--admin", str(balancer.admin_path), expect=1).stderr
    assert f"error: another process answers on {balancer.admin_path}" in error
    other = str(balancer.directory / "other.sock")
    error = run_verb("run", str(balancer.file), "--admin", other, expect=1).stderr
    assert f"listeners.web.bind: cannot listen on {running.port}: the address is already in use" in error
    assert running.answering() == set(running.endpoints)


def test_an_upgrade_replaces_the_process(running: Running) -> None:
    running.evenly("drain", "app", running.endpoints[0])
    running.evenly("upgrade")
    assert running.balancer.wait() == 0
    status = json.loads(running.evenly("status", "--json")[0])
    running.balancer.follow(status["pid"])
    assert status["pid"] != running.balancer.process.pid
    # What the operator set is kept.
    assert running.answering() == {running.endpoints[1]}


def test_an_upgrade_that_cannot_serve_changes_nothing(running: Running) -> None:
    running.write(*running.endpoints, misspelt=True)
    assert "pools.app.endponts: unknown key" in running.evenly("upgrade", expect=1)[1]
    status = json.loads(running.evenly("status", "--json")[0])
    assert (status["pid"], status["phase"]) == (running.balancer.process.pid, "serving")
    assert running.answering() == set(running.endpoints)


def test_a_successor_can_be_upgraded_too(running: Running) -> None:
    pids = {running.balancer.process.pid}
    for _ in range(2):
        running.evenly("upgrade")
        pid = json.loads(running.evenly("status", "--json")[0])["pid"]
        running.balancer.follow(pid)
        pids.add(pid)
    assert len(pids) == 3
    assert os.getpid() not in pids
    assert running.answering() == set(running.endpoints)
