"""Fixtures that every end-to-end test shares; the tools behind them are in `support`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .support.authority import Authority
from .support.balancer import Balancer, Web, configuration
from .support.endpoint import Endpoint
from .support.http3 import Http3Client
from .support.ports import Port
from .support.programs import built_by_go
from .support.server import Servers


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """An endpoint that the test plays."""
    with Endpoint() as playing:
        yield playing


@pytest.fixture
def servers() -> Iterator[Callable[..., Servers]]:
    """Starts endpoints that answer by themselves: `servers("a", "b")`."""
    with ExitStack() as running:
        yield lambda *names, **options: running.enter_context(Servers(*names, **options))


@pytest.fixture
def port() -> Iterator[Callable[..., Port]]:
    """Reserves a port."""
    with ExitStack() as held:

        def reserve(ip: str = "127.0.0.1") -> Port:
            reserved = Port(ip)
            held.callback(reserved.release)
            return reserved

        yield reserve


@pytest.fixture
def run(port: Callable[..., Port]) -> Iterator[Callable[..., Balancer]]:
    """Starts a balancer from the text of a configuration: `run(text)`; its log is shown if the test fails."""
    with ExitStack() as running:

        def start(text: str | None, **options: Any) -> Balancer:
            return running.enter_context(Balancer(text, **options)).until_ready()

        yield start


@pytest.fixture
def web(run: Callable[..., Balancer], port: Callable[..., Port]) -> Iterator[Callable[..., Web]]:
    """Starts a balancer with one listener in front of endpoints: `web(endpoint, pool='balance = "maglev"')`."""
    with ExitStack() as connected:

        def start(*endpoints: object, **parts: Any) -> Web:
            bound = port()
            serving = Web(run(configuration(*endpoints, bind=bound, **parts)), bound)
            connected.callback(serving.hang_up)
            return serving

        yield start


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A certificate authority of the test's own."""
    return Authority(tmp_path)


@pytest.fixture(scope="session")
def newer_pebble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Pebble that has what Debian's has not; or the reason why its test is skipped."""
    return built_by_go("newer_pebble", "github.com/letsencrypt/pebble/v2/cmd/pebble", tmp_path_factory.mktemp("go"))


@pytest.fixture
def h3(web: Callable[..., Web], authority: Authority) -> Iterator[Callable[..., tuple[Http3Client, Web]]]:
    """Starts a balancer that speaks HTTP/3, and connects to it: `client, serving = h3(endpoint)`.

    `serving.h3()` connects again.
    """
    clients: list[Http3Client] = []

    def start(*endpoints: object, **parts: Any) -> tuple[Http3Client, Web]:
        options = parts.pop("client", {})
        routes = authority.issue("shop.test").table("site") + parts.pop("routes", "")
        listener = f'http3 = true\ntls = {{ certificates = "site" }}\n{parts.pop("listener", "")}'
        top = f'access_log = "-"\n{parts.pop("top", "")}'
        serving = web(*endpoints, listener=listener, routes=routes, top=top, **parts)

        def connect(**more: Any) -> Http3Client:
            connected = Http3Client(serving.port.address, authority.bundle, **{**options, **more})
            clients.append(connected)
            return connected

        serving.h3 = connect
        return connect(), serving

    yield start
    for client in clients:
        client.socket.close()
