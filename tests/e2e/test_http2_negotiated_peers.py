"""`protocol = "auto"` before endpoints that others wrote: nginx and HAProxy, by HTTP/2 and by HTTP/1.1."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from ..support import programs
from ..support.load import Load
from ..support.ports import Port
from ..support.programs import program, running

CHOSEN = "evenly_upstream_negotiated_connections_total"


@pytest.fixture
def nginx(tmp_path: Path, authority) -> Callable[[Port, str], AbstractContextManager[Path]]:
    """Runs nginx under TLS, which answers with what was spoken: `with nginx(port, "http2") as log`."""
    files = authority.issue("127.0.0.1")

    @contextlib.contextmanager
    def start(bound: Port, http2: str) -> Iterator[Path]:
        directory = tmp_path / f"nginx-{bound.number}"
        directory.mkdir(exist_ok=True)
        server = (
            f"listen {bound} ssl {http2} reuseport; access_log {directory}/log; keepalive_requests 100000;\n"
            f"ssl_certificate {files.cert}; ssl_certificate_key {files.key};\n"
            'location / { default_type text/plain; return 200 "$server_protocol"; }'
        )
        with programs.nginx(directory, server):
            yield directory / "log"

    return start


@pytest.fixture
def haproxy(tmp_path: Path, port, authority) -> Callable[[str], AbstractContextManager[Port]]:
    """Runs HAProxy under TLS, which does the same; `with haproxy("h2,http/1.1") as port`."""
    files = authority.issue("127.0.0.1")

    @contextlib.contextmanager
    def start(alpn: str) -> Iterator[Port]:
        bound = port()
        joined, file = tmp_path / f"{bound.number}.pem", tmp_path / f"{bound.number}.cfg"
        joined.write_text(files.cert.read_text() + files.key.read_text())
        file.write_text(
            "defaults\n mode http\n timeout client 9s\n timeout connect 9s\n timeout server 9s\n"
            f"frontend in\n bind {bound} ssl crt {joined} alpn {alpn}\n"
            ' http-request return status 200 content-type text/plain lf-string "HTTP/%[req.ver]"\n'
        )
        with running([program("haproxy"), "-db", "-f", str(file)], bound):
            yield bound

    return start


def pool(authority, more: str = "") -> str:
    """The options of a pool whose endpoints choose."""
    return f'protocol = "auto"\ntls = {{ ca = "{authority.bundle}" }}\n{more}'


def test_a_pool_of_four(web, port, nginx, haproxy, authority) -> None:
    """Two programs, each once by HTTP/2 and once by HTTP/1.1; their health checks choose likewise."""
    one, other = port(), port()
    with (
        nginx(one, "http2") as log,
        nginx(other, "") as plain,
        haproxy("h2,http/1.1") as third,
        haproxy("http/1.1") as last,
    ):
        endpoints = [f"https://{each}" for each in (one, other, third, last)]
        serving = web(
            *endpoints, pool=pool(authority, 'health_check = { type = "http", path = "/healthz", interval = "100ms" }')
        )
        with Load(serving.port, connections=16) as load:
            load.wait_for(400)
        load.assert_clean()
        # Each endpoint has had its share.
        assert set(load.bodies) == {"HTTP/2.0", "HTTP/1.1"}
        passed = "evenly_endpoint_health_checks_total"
        for each in (one, other, third, last):
            serving.balancer.until(
                lambda each=each: serving.balancer.metric(passed, endpoint=str(each), result="passed") > 1
            )
            assert serving.balancer.metric(passed, endpoint=str(each), result="failed") == 0
        by_http2 = [serving.balancer.metric(CHOSEN, endpoint=str(each), protocol="h2") for each in (one, third)]
        assert all(1 <= count <= 2 for count in by_http2), by_http2
        for each in (other, last):
            assert serving.balancer.metric(CHOSEN, endpoint=str(each), protocol="h2") == 0
            assert serving.balancer.metric(CHOSEN, endpoint=str(each), protocol="http/1.1") >= 1
        assert "GET /healthz HTTP/2.0" in log.read_text()
        assert "GET /healthz HTTP/1.1" in plain.read_text()
        assert "HTTP/1.1" not in log.read_text()


def test_a_restart_that_changes_the_choice_costs_no_request(web, port, nginx, authority) -> None:
    """Under load, to HTTP/1.1 and back, while another endpoint stays what it is."""
    changing, staying = port(), port()
    with nginx(staying, ""):
        serving = web(f"https://{changing}", f"https://{staying}", pool=pool(authority), top='access_log = "-"')
        with Load(serving.port, connections=8) as load:
            for http2, spoken in (("http2", "h2"), ("", "http/1.1"), ("http2", "h2")):
                before = serving.balancer.metric(CHOSEN, endpoint=str(changing), protocol=spoken)
                with nginx(changing, http2):
                    serving.balancer.until(
                        lambda before=before, spoken=spoken: (
                            serving.balancer.metric(CHOSEN, endpoint=str(changing), protocol=spoken) > before
                        )
                    )
                    load.wait_for(200)
        load.assert_clean()
        assert set(load.bodies) == {"HTTP/2.0", "HTTP/1.1"}
