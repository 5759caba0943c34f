"""Every raw request of the corpus meets its fate in a running balancer, as it does in the codec's own tests.

What the corpus accepts reaches the endpoint with the method, the body and the length that the fate names; what it
rejects is answered with the fate's status, the connection is closed, and the endpoint never sees a whole request.
"""

from pathlib import Path

import pytest

from ..support.balancer import Balancer, Web, configuration
from ..support.endpoint import Endpoint
from ..support.ports import Port
from ..support.wire import Peer

CORPUS = Path(__file__).resolve().parents[1] / "golden" / "http1" / "requests"
REQUESTS = sorted(CORPUS.glob("*.http"))


def fate(request: Path) -> dict[str, str]:
    """The fate beside a request."""
    lines = request.with_suffix(".fate").read_text().splitlines()
    return dict(line.split(": ", 1) if ": " in line else (line.rstrip(":"), "") for line in lines if line)


@pytest.fixture(scope="module")
def endpoint():
    """One endpoint for the whole corpus."""
    with Endpoint() as playing:
        yield playing


@pytest.fixture(scope="module")
def serving(endpoint):
    """One balancer for the whole corpus; without reuse, so that each request has a connection of its own.

    Of HTTP/1.1 only, as one of the requests is what HTTP/2 begins with."""
    port = Port()
    text = configuration(endpoint, bind=port, listener="http2 = false", pool="keepalive = { max_idle = 0 }")
    with Balancer(text).until_ready() as balancer:
        yield Web(balancer, port)
    port.release()


def test_the_corpus_is_there() -> None:
    """An empty folder would pass everything."""
    assert len(REQUESTS) >= 150


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_fate(serving: Web, endpoint: Endpoint, path: Path) -> None:
    """Sends the bytes and compares."""
    expected = fate(path)
    with Peer.connect(serving.port.address) as client:
        if expected["fate"].startswith("reject"):
            refused(client, endpoint, path.read_bytes(), int(expected["fate"].split()[1]))
        elif expected["method"] == "CONNECT":
            # Well-formed, but no route allows it: never a tunnel.
            client.send(path.read_bytes())
            assert client.read_head().status == 405
            assert not endpoint.is_asked()
        else:
            accepted(client, endpoint, path.read_bytes(), expected)


def refused(client: Peer, endpoint: Endpoint, raw: bytes, status: int) -> None:
    """The client gets the status and the end; an endpoint that was asked gets no whole request."""
    client.send(raw)
    head = client.read_head()
    assert head.status == status
    assert head.one("Connection") == "close"
    client.drain()
    if endpoint.is_asked():
        peer = endpoint.accept()
        begun = peer.expect_cut()
        assert not begun.endswith(b"0\r\n\r\n"), f"a refused request reached the endpoint whole: {begun!r}"
        peer.close()


def accepted(client: Peer, endpoint: Endpoint, raw: bytes, expected: dict[str, str]) -> None:
    """The endpoint gets the request that the fate describes, and the client the answer."""
    client.send(raw)
    peer = endpoint.accept()
    request = peer.read_head()
    assert request.first.split(" ")[0] == expected["method"]
    path, _, query = request.target.partition("?")
    # Dot segments are resolved before routing, so that an endpoint cannot resolve them to what no route allowed.
    assert path == expected["path"] or ".." in expected["path"]
    assert ".." not in path.split("/")
    assert query == expected.get("query", "")
    assert request.one("Host") == expected["host"] or not expected["host"]
    if expected.get("expect-continue") == "yes":
        assert (request.one("Expect") or "").lower() == "100-continue"
    assert len(peer.read_body(request)) == int(expected["data-bytes"])
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    head = client.read_head()
    assert head.status == 200
    keeps = (head.one("Connection") or "").lower() != "close"
    assert keeps == (expected["keep-alive"] == "yes")
    peer.close()
    if int(expected["rest-bytes"]):
        # It is a request too. Left unanswered it would be tried again, and come in place of the next case's request.
        endpoint.serve()
        assert client.read_response().status == 200
