"""What an endpoint sends is as hostile as what a client sends: bad framing is 502, and no reuse."""

import contextlib
from pathlib import Path

import pytest

from ..support.balancer import Balancer, Web, configuration
from ..support.endpoint import OK, Endpoint
from ..support.ports import Port
from ..support.wire import Peer
from .test_corpus import fate

CORPUS = Path(__file__).resolve().parents[1] / "golden" / "http1" / "responses"
RESPONSES = sorted(CORPUS.glob("*.http"))


@pytest.fixture(scope="module")
def endpoint():
    """One endpoint for the whole corpus."""
    with Endpoint() as playing:
        yield playing


@pytest.fixture(scope="module")
def serving(endpoint):
    """One balancer for the whole corpus."""
    port = Port()
    with Balancer(configuration(endpoint, bind=port, top='access_log = "-"')).until_ready() as balancer:
        yield Web(balancer, port)
    port.release()


def rejected(path: Path) -> bool:
    """Whether a response is refused. Limits of the corpus are the codec's own tests' choice; here they are wider."""
    return fate(path)["fate"].startswith("reject") and "above-limit" not in path.stem


@pytest.mark.parametrize("path", [path for path in RESPONSES if rejected(path)], ids=lambda path: path.stem)
def test_refused(serving: Web, endpoint: Endpoint, path: Path) -> None:
    """A bad head becomes 502; a body that turns bad cuts the client off, so that it does not look whole."""
    expected = fate(path)
    method = expected.get("request", "GET")
    if method == "CONNECT":
        pytest.skip("no route allows CONNECT here")
    with Peer.connect(serving.port.address) as client:
        client.send(f"{method} /{path.stem} HTTP/1.1\r\nHost: a\r\n\r\n")
        peer, _ = endpoint.serve(path.read_bytes())
        if expected["at"] == "head":
            assert client.read_response(method).status == 502
        elif client.read_head().status != 502:
            # The head was on its way already; else it need not be.
            assert not client.expect_cut().endswith(b"0\r\n\r\n")
        peer.expect_cut()
        peer.close()
    entry = serving.balancer.access(target=f"/{path.stem}")
    assert entry["reason"] in {"response-bad", "upstream-truncated"}


@pytest.mark.parametrize(
    "path", [path for path in RESPONSES if fate(path)["fate"] == "accept"], ids=lambda path: path.stem
)
def test_accepted(serving: Web, endpoint: Endpoint, path: Path) -> None:
    """A good response reaches the client with its status and all of its data."""
    expected = fate(path)
    method = expected.get("request", "GET")
    if method == "CONNECT" or expected["status"] == "101":
        pytest.skip("tunnels have tests of their own")
    with Peer.connect(serving.port.address) as client:
        client.send(f"{method} /{path.stem} HTTP/1.1\r\nHost: a\r\n\r\n")
        peer, _ = endpoint.serve(path.read_bytes())
        interim = int(expected["status"]) < 200
        if interim:
            assert client.read_head().status == int(expected["status"])
            peer.send(OK)
            peer.close()
            assert client.read_response(method).status == 200
            return
        if expected["body"] == "until-close":
            peer.close()
        response = client.read_response(method)
        assert response.status == int(expected["status"])
        assert len(response.body) == int(expected["data-bytes"])
        if int(expected["rest-bytes"]):
            # Bytes that nobody asked for: the connection is in doubt, so it is not used again.
            peer.expect_cut()
        peer.close()


@pytest.mark.parametrize("field", ["X: " + "x" * 300_000, "X: 1\r\n" * 20_000], ids=["long", "many"])
def test_endless_head(serving: Web, endpoint: Endpoint, field: str) -> None:
    """A head that does not end has a bound: 502, and the connection is closed."""
    with Peer.connect(serving.port.address) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        peer = endpoint.accept()
        peer.read_request()
        # It may be closed while this is still being sent.
        with contextlib.suppress(OSError):
            peer.send(f"HTTP/1.1 200 OK\r\n{field}")
        assert client.read_response().status == 502
        peer.expect_cut()
        peer.close()


def test_unasked_bytes_end_an_idle_connection(web) -> None:
    """An idle connection on which the endpoint speaks first is not reused: its words would answer the next request."""
    with Endpoint() as endpoint:
        serving = web(endpoint)
        client = serving.connect()
        client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
        peer, _ = endpoint.serve()
        client.read_response()
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
        client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        _, request = endpoint.serve()
        assert request.target == "/2"
        assert client.read_response().body == b"ok"


def test_interim_responses_without_end(serving: Web, endpoint: Endpoint) -> None:
    """A thousand say no more than one would: 502."""
    with Peer.connect(serving.port.address) as client:
        client.send("GET /interims HTTP/1.1\r\nHost: a\r\n\r\n")
        peer, _ = endpoint.serve("HTTP/1.1 102 Processing\r\n\r\n" * 1_001)
        statuses = [client.read_response().status for _ in range(1_001)]
        assert statuses == [102] * 1_000 + [502]
        peer.close()
    assert serving.balancer.access(target="/interims")["reason"] == "response-bad"
