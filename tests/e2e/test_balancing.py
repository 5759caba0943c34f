"""Each balancer shares as it says; the fine print is in the core's own tests, this is the way through the product."""

from collections import Counter

import pytest

from ..support.wire import Peer


def answers(client: Peer, count: int, *fields: str) -> Counter[str]:
    """Who answered how often."""
    return Counter(client.ask("/", *fields).text for _ in range(count))


def weighted(backends, *weights: int) -> list[str]:
    """Endpoints as tables with weights."""
    return [f'{{ address = "{each}", weight = {weight} }}' for each, weight in zip(backends, weights, strict=True)]


def test_round_robin(web, servers) -> None:
    """Exactly the weights, smoothly."""
    serving = web(*weighted(servers("a", "b", "c"), 1, 2, 3))
    client = serving.connect()
    assert answers(client, 60) == {"a": 10, "b": 20, "c": 30}
    sequence = [client.ask().text for _ in range(6)]
    # Smooth: the heavy one never gets all of its turns in a row.
    assert "ccc" not in "".join(sequence)


@pytest.mark.parametrize("balance", ["random", "two-choices", "least-requests"])
def test_everyone_gets_some(web, servers, balance) -> None:
    """Among equals that answer equally fast nobody starves."""
    client = web(*servers("a", "b", "c"), pool=f'balance = "{balance}"').connect()
    shares = answers(client, 600)
    assert set(shares) == {"a", "b", "c"}
    assert min(shares.values()) > 60


def test_weight_zero(web, servers) -> None:
    """Weight 0 gets nothing."""
    client = web(*weighted(servers("a", "b"), 0, 1)).connect()
    assert answers(client, 20) == {"b": 20}


@pytest.mark.parametrize("balance", ["least-requests", "two-choices", "peak-ewma"])
def test_busy_endpoints_get_less(web, servers, balance) -> None:
    """New requests avoid the endpoint that has many under way."""
    backends = servers("a", "b")
    serving = web(*backends, pool=f'balance = "{balance}"')
    # Fill one endpoint: of twenty requests that hang, count where they are.
    held = [serving.connect() for _ in range(20)]
    for client in held:
        client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    serving.balancer.until(lambda: sum(server.requests["/hold"] for server in backends) == 20)
    spread = [server.requests["/hold"] for server in backends]
    assert max(spread) - min(spread) <= 6, spread
    backends.release()
    for client in held:
        assert client.read_response().status == 200


@pytest.mark.parametrize("balance", ["ring-hash", "maglev"])
def test_hashing_by_header(web, servers, balance) -> None:
    """One key, one endpoint; many keys, all endpoints."""
    client = web(*servers("a", "b", "c"), pool=f'balance = "{balance}"\nhash_key = "header:X-User"').connect()
    chosen = {}
    for user in range(60):
        shares = answers(client, 3, f"X-User: user-{user}")
        assert len(shares) == 1
        chosen[user] = next(iter(shares))
    assert set(chosen.values()) == {"a", "b", "c"}


@pytest.mark.parametrize("balance", ["ring-hash", "maglev"])
def test_minimal_disruption(web, servers, balance) -> None:
    """An endpoint that drains moves its own keys and (almost) no others."""
    backends = servers("a", "b", "c")
    serving = web(*backends, pool=f'balance = "{balance}"\nhash_key = "query:key"')
    client = serving.connect()
    before = {key: client.ask(f"/?key={key}").text for key in range(200)}
    serving.balancer.set_endpoint(backends[0], state="draining")
    after = {key: client.ask(f"/?key={key}").text for key in range(200)}
    assert "a" not in after.values()
    moved = sum(before[key] != after[key] for key in before if before[key] != "a")
    assert moved <= 20, f"{moved} keys of other endpoints moved"


def test_ip_hash(web, servers) -> None:
    """One client address, one endpoint."""
    serving = web(*servers("a", "b", "c"), pool='balance = "ip-hash"')
    chosen = set()
    for last in range(2, 40):
        client = serving.connect(source=f"127.0.0.{last}")
        shares = answers(client, 2)
        assert len(shares) == 1
        chosen |= set(shares)
        client.close()
    assert chosen == {"a", "b", "c"}


def test_operator_changes_a_weight(web, servers) -> None:
    """A weight set by the operator counts from the next request on."""
    backends = servers("a", "b")
    serving = web(*backends)
    client = serving.connect()
    serving.balancer.set_endpoint(backends[0], weight=3)
    assert answers(client, 40) == {"a": 30, "b": 10}
