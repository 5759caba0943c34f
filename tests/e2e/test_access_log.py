"""The access log: one line for each request, in JSON or as text, to a file that can be rotated."""

import json
import os
import re
import select
import signal
from pathlib import Path

from ..support.balancer import configuration
from ..support.wire import Peer


def read_lines(balancer, path: Path, count: int) -> list[str]:
    """The lines of a log file once there are so many; asks the balancer something while it waits."""
    lines: list[str] = []

    def enough() -> bool:
        balancer.status()
        lines[:] = path.read_text().splitlines() if path.exists() else []
        return len(lines) >= count

    balancer.until(enough)
    return lines


def test_json(web, servers) -> None:
    """Who asked what, where it went, what became of it, how long it took."""
    backends = servers("a")
    serving = web(*backends, top='access_log = "-"', routes='[[routes]]\nname = "all"\npool = "app"\n')
    serving.connect().ask("/path?q=1", 'User-Agent: "quoted" \\ agent', "Referer: http://r/", host="shop.example")
    entry = serving.balancer.access(target="/path?q=1")
    expected = {
        "listener": "web", "route": "all", "pool": "app", "endpoint": str(backends[0]), "method": "GET",
        "host": "shop.example", "status": 200, "protocol": "HTTP/1.1", "user_agent": '"quoted" \\ agent',
    }  # fmt: skip
    assert entry | expected == entry
    assert entry["client"].startswith("127.0.0.1")
    assert entry["bytes_out"] > 0
    assert entry["total_ms"] >= entry["upstream_ms"] >= 0
    assert "reason" not in entry
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", entry["time"])


def test_hostile_bytes_stay_in_their_field(web, servers) -> None:
    """Nothing that a client sends can end a line or forge a field."""
    serving = web(*servers("a"), top='access_log = "-"')
    client = serving.connect()
    client.send(b'GET /x","status":999 HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\xfe\t"\\\r\n\r\n')
    client.drain() if client.read_head().status == 400 else None
    line = serving.balancer.output.wait(lambda _: True)
    assert json.loads(line)["status"] in {200, 400}


def test_text(run, port, servers, tmp_path) -> None:
    """The combined format, which every log tool reads."""
    bound, path = port(), tmp_path / "access.log"
    balancer = run(configuration(*servers("a"), bind=bound, top=f'access_log = {{ path = "{path}", format = "text" }}'))
    with Peer.connect(bound.address) as client:
        client.ask("/path", "User-Agent: agent/1.0")
    line = read_lines(balancer, path, 1)[0]
    assert re.match(r'127\.0\.0\.1 - - \[[^\]]+\] "GET /path HTTP/1\.1" 200 \d+ "-" "agent/1\.0" ', line)


def test_reopen(run, port, servers, tmp_path) -> None:
    """SIGUSR1 after a rotation: old lines stay in the moved file, new ones come in a new one."""
    bound, path = port(), tmp_path / "access.log"
    balancer = run(configuration(*servers("a"), bind=bound, top=f'access_log = "{path}"'))
    with Peer.connect(bound.address) as client:
        client.ask("/before")
        read_lines(balancer, path, 1)
        path.rename(tmp_path / "access.log.1")
        balancer.signal(signal.SIGUSR1)
        balancer.wait_log("access log reopened")
        client.ask("/after")
        assert json.loads(read_lines(balancer, path, 1)[0])["target"] == "/after"
    assert len((tmp_path / "access.log.1").read_text().splitlines()) == 1


def test_a_writer_that_cannot_keep_up_drops(run, port, servers, tmp_path) -> None:
    """A log that takes nothing costs lines, which are counted, and not a single request."""
    bound, pipe = port(), tmp_path / "pipe"
    os.mkfifo(pipe)
    # Both ends open and never read: full after 64 KiB.
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        top = f'access_log = {{ path = "{pipe}", ring = "4KiB" }}'
        balancer = run(configuration(*servers("a"), bind=bound, top=top))
        with Peer.connect(bound.address) as client:
            for _ in range(1500):
                assert client.ask("/" + "x" * 100).status == 200
        balancer.until(lambda: balancer.metric("evenly_access_log_dropped_lines_total") > 0)
        assert select.select([reader], [], [], 0)[0]
        while select.select([reader], [], [], 0)[0]:
            os.read(reader, 1 << 20)
    finally:
        os.close(reader)
