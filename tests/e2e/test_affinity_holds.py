"""10,000 clients, 20 reloads, a drain, a death: nobody moves but the clients of the dead endpoint, and they once."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack

import pytest

from ..support.balancer import configuration
from ..support.server import ServerProcess
from ..support.wire import Peer

CLIENTS = 10_000
RELOADS = 20
# Requests of that many clients are sent at once, so that the test waits for answers and not for the network.
AT_ONCE = 50


class Clients:
    """Clients on one connection: their cookies, where each was served last, and how often that changed."""

    def __init__(self, peer: Peer, field: Callable[[int], str]) -> None:
        self._peer, self._field = peer, field
        self.cookies: dict[int, str] = {}
        self.homes: dict[int, str] = {}
        self.moves: Counter[int] = Counter()

    def ask(self, clients: Iterable[int]) -> None:
        """One request of each."""
        clients = list(clients)
        for start in range(0, len(clients), AT_ONCE):
            asking = clients[start : start + AT_ONCE]
            self._peer.send(*(self._request(client) for client in asking))
            for client in asking:
                answer = self._peer.read_response()
                assert answer.status == 200
                if (line := answer.one("Set-Cookie")) is not None:
                    self.cookies[client] = line.split(";")[0]
                before = self.homes.get(client)
                self.moves[client] += before not in {None, answer.text}
                self.homes[client] = answer.text

    def _request(self, client: int) -> str:
        cookie = self.cookies.get(client)
        fields = self._field(client) + (f"Cookie: {cookie}\r\n" if cookie else "")
        return f"GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"


@pytest.mark.parametrize(
    ("affinity", "field"),
    [('cookie = "evenly"', lambda _: ""), ('header = "X-Client"', lambda client: f"X-Client: {client}\r\n")],
    ids=["cookie", "table"],
)
def test_nobody_moves_without_a_reason(run, port, affinity: str, field: Callable[[int], str]) -> None:
    """Endpoints, balancer and clients are real; reloads come while the clients ask."""
    with ExitStack() as stack:
        backends = {name: stack.enter_context(ServerProcess(name)) for name in "abcd"}
        bound = port()
        check = 'health_check = { type = "http", path = "/healthz", interval = "100ms", timeout = "2s" }'
        text = configuration(*backends.values(), bind=bound, pool=f"affinity = {{ {affinity} }}\n{check}")
        balancer = run(text.replace("workers = 1", "workers = 2"))
        for each in backends.values():
            balancer.wait_log("endpoint", endpoint=str(each), to="healthy")
        clients = Clients(stack.enter_context(Peer.connect(bound.address)), field)
        everyone = range(CLIENTS)
        clients.ask(everyone)
        assert set(clients.homes.values()) == set(backends)

        for reload in range(RELOADS):
            order = list(backends.values())[reload % 4 :] + list(backends.values())[: reload % 4]
            endpoints = ", ".join(f'"{each}"' for each in order)
            balancer.reload(f"{balancer.file.read_text().split('endpoints =')[0]}endpoints = [{endpoints}]\n"
                            f"affinity = {{ {affinity} }}\n{check}\n# {reload}\n")  # fmt: skip
            clients.ask(range(reload, CLIENTS, RELOADS))
        assert clients.moves.total() == 0

        drained, killed = "a", "b"
        balancer.set_endpoint(backends[drained], state="draining")
        newcomers = range(CLIENTS, CLIENTS + 200)
        clients.ask(newcomers)
        assert drained not in {clients.homes[client] for client in newcomers}
        clients.ask(client for client in everyone if clients.homes[client] == drained)
        assert clients.moves.total() == 0

        bereaved = {client for client, home in clients.homes.items() if home == killed}
        others = len(clients.homes) - len(bereaved)
        backends[killed].kill()
        for _ in range(2):
            clients.ask(clients.homes)
        assert {client for client, moves in clients.moves.items() if moves} == bereaved
        assert set(clients.moves.values()) == {0, 1}
        assert balancer.metric("evenly_affinity_requests_total", outcome="moved") == len(bereaved)
        assert balancer.metric("evenly_affinity_requests_total", outcome="new") == len(bereaved) + others
