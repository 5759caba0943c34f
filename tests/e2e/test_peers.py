"""Programs that others wrote: curl as the client, nginx as the endpoint."""

import subprocess

import pytest

from ..support import programs
from ..support.programs import program


@pytest.fixture
def curl() -> str:
    """curl, or the reason why it is skipped."""
    return program("curl")


@pytest.fixture
def nginx(tmp_path, port):
    """nginx on a reserved port, serving a folder; its address."""
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "large.bin").write_bytes(bytes(range(256)) * 40_000)
    bound = port()
    server = (
        f"listen {bound} reuseport; root {tmp_path}/html; gzip off;\n"
        "location /upload { client_max_body_size 0; return 200 done; }"
    )
    with programs.nginx(tmp_path, server):
        yield str(bound)


def test_download(web, nginx, curl, tmp_path) -> None:
    """A file arrives whole, and a range of it too."""
    url = f"http://{web(nginx).port}/large.bin"
    done = subprocess.run([curl, "-sS", "--fail", url, url], capture_output=True, check=True)
    assert done.stdout == bytes(range(256)) * 40_000 * 2
    done = subprocess.run([curl, "-sS", "--fail", "-r", "256-511", url], capture_output=True, check=True)
    assert done.stdout == bytes(range(256))


def test_upload_with_expect(web, nginx, curl, tmp_path) -> None:
    """curl asks before it sends a large body."""
    body = tmp_path / "body"
    body.write_bytes(b"x" * 5_000_000)
    url = f"http://{web(nginx).port}/upload"
    done = subprocess.run(
        [curl, "-sS", "-H", "Expect: 100-continue", "--data-binary", f"@{body}", url], capture_output=True, check=True
    )
    assert done.stdout == b"done"


def test_not_modified(web, nginx, curl) -> None:
    """304 and HEAD in one connection."""
    url = f"http://{web(nginx).port}/large.bin"
    done = subprocess.run([curl, "-sS", "-I", url, url], capture_output=True, check=True, text=True)
    assert done.stdout.count("HTTP/1.1 200 OK") == 2
    etag = next(line for line in done.stdout.splitlines() if line.lower().startswith("etag:")).split(": ")[1]
    done = subprocess.run(
        [curl, "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"If-None-Match: {etag}", url],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert done.stdout == "304"
