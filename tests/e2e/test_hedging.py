"""A request that takes longer than most is sent to a second endpoint as well, and the first good answer counts."""

from collections.abc import Callable

import pytest

from ..support.balancer import Web
from ..support.load import Load
from ..support.server import Server, Servers

TOP = 'access_log = "-"'
HEDGE = "hedge = true"


def hedges(serving: Web, what: str = "") -> float:
    """A counter of the pool's."""
    return serving.balancer.metric(f"evenly_pool_hedges{what}_total", pool="app")


@pytest.fixture
def warm(web: Callable[..., Web], servers: Callable[..., Servers]) -> Callable[..., tuple[Web, Server, Server]]:
    """Two endpoints of whose response times enough is known. The first gets all first tries, and is paused then."""

    def start(**parts: str) -> tuple[Web, Server, Server]:
        stuck, other = servers("stuck", "other")
        first = f'{{ address = "{stuck}", weight = 65535 }}'
        serving = web(first, other, **{"top": TOP, "pool": HEDGE} | parts)
        with Load(serving.port, connections=1) as load:
            load.wait_for(200)
        stuck.paused = True
        return serving, stuck, other

    return start


def get(*fields: str) -> str:
    """A request that can be told from those that warmed up."""
    return "".join(f"{line}\r\n" for line in ("GET /it HTTP/1.1", "Host: a", *fields, ""))


def test_the_slowest_answers_become_fast(web, servers) -> None:
    """Each endpoint is slow once in fifty requests: the 99th percentile falls, and few requests are sent twice."""
    found = {}
    for pool in ("", f'{HEDGE}\nretry_budget = {{ share = "10%" }}'):
        running = servers("a", "b", "c")
        for server in running:
            server.slow_every, server.slow_for = 50, 0.3
        serving = web(*running, top=TOP, pool=pool)
        with Load(serving.port, connections=8) as load:
            load.wait_for(3_000, deadline=120)
        load.assert_clean()
        sent = sum(server.served for server in running)
        found[bool(pool)] = (load.percentile(0.99), sent / load.count)
        if pool:
            assert hedges(serving, "_won") > 30
            # A hedge that is overtaken on its way is called back before its endpoint has read it.
            assert 0.9 * hedges(serving) <= sent - load.count <= hedges(serving)
    (before, _), (after, amplification) = found[False], found[True]
    assert before >= 0.3
    assert after <= before / 3, f"{after * 1000:.1f} ms, without hedging {before * 1000:.1f} ms"
    assert amplification <= 1.12, f"{amplification:.3f} sent for each"


def test_the_one_that_loses_is_cancelled(warm) -> None:
    """Its connection is closed and its place free again; it is no failure, and the log says who won."""
    serving, stuck, other = warm()
    before = hedges(serving)
    client = serving.connect()
    client.send(get())
    assert client.read_response().text == "other"
    serving.balancer.until(lambda: stuck.given_up == 1)
    assert hedges(serving) == before + 1
    line = serving.balancer.access(target="/it")
    assert (line["hedge"], line["status"], line["endpoint"], line["attempts"]) == ("won", 200, other.address, 2)
    status = serving.balancer.endpoint(stuck)
    assert (status["in_flight"], status["failures"], status["state"]) == (0, 0, "healthy")
    told = serving.balancer.status()["pools"][0]["hedge"]
    assert (told["sent"], told["refused"]) == (before + 1, 0)
    assert 0.005 <= told["delay"] == serving.balancer.metric("evenly_pool_hedge_delay_seconds", pool="app")


def test_only_what_is_idempotent_and_at_hand(warm) -> None:
    """A PUT whose body came with its head is sent a second time; a POST waits for its one endpoint."""
    serving, stuck, _ = warm()
    before = hedges(serving)
    client, waiting = serving.connect(), serving.connect()
    waiting.send("POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
    serving.balancer.until(lambda: stuck.requests["/post"])
    client.send("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
    assert client.read_response().text == "body"
    client.send("PUT /it HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
    assert client.read_response().text == "other"
    assert hedges(serving) == before + 1
    waiting.expect_silence(0.2)
    stuck.paused = False
    assert waiting.read_response().text == "stuck"
    assert hedges(serving) == before + 1, "the POST was sent twice"


def test_a_failure_does_not_win(warm) -> None:
    """The other endpoint answers 503 at once, as what fails often does; the first one's answer is worth the wait."""
    serving, stuck, other = warm()
    other.fails_every = 1
    won = hedges(serving, "_won")
    client = serving.connect()
    client.send(get())
    serving.balancer.until(lambda: other.requests["/it"])
    client.expect_silence(0.2)
    stuck.paused = False
    assert client.read_response().text == "stuck"
    line = serving.balancer.access(target="/it")
    assert (line["hedge"], line["endpoint"], line["attempts"]) == ("lost", stuck.address, 2)
    assert hedges(serving, "_won") == won


def test_the_second_goes_on_when_the_first_breaks(warm) -> None:
    """What was a hedge is then all there is."""
    serving, stuck, other = warm()
    other.paused = True
    client = serving.connect()
    client.send(get())
    serving.balancer.until(lambda: stuck.requests["/it"] and other.requests["/it"])
    stuck.hang_up()
    client.expect_silence(0.2)
    other.paused = False
    assert client.read_response().text == "other"
    assert serving.balancer.access(target="/it")["hedge"] == "won"
    assert serving.balancer.endpoint(stuck)["failures"] == 1


def test_without_budget_nothing_is_sent_twice(warm) -> None:
    """It is counted, and the request waits for its one endpoint."""
    serving, stuck, _ = warm(pool=f'{HEDGE}\nretry_budget = {{ share = "0%", min_per_second = 0 }}')
    before = hedges(serving, "_refused")
    client = serving.connect()
    client.send(get())
    serving.balancer.until(lambda: hedges(serving, "_refused") == before + 1)
    stuck.paused = False
    assert client.read_response().text == "stuck"
    assert (hedges(serving), stuck.given_up) == (0, 0)


def test_a_client_stays_with_its_endpoint(warm) -> None:
    """Another one would not know it."""
    serving, stuck, _ = warm(pool=f'{HEDGE}\naffinity = {{ cookie = "it" }}')
    stuck.paused = False
    client = serving.connect()
    cookie = client.ask("/login").one("set-cookie").split(";")[0]
    before = hedges(serving)
    stuck.paused = True
    client.send(get(f"Cookie: {cookie}"))
    serving.balancer.until(lambda: stuck.requests["/it"])
    client.expect_silence(0.3)
    stuck.paused = False
    assert client.read_response().text == "stuck"
    assert hedges(serving) == before


def test_a_client_that_goes_takes_both_along(warm) -> None:
    """Nobody waits for either of them any more."""
    serving, stuck, other = warm()
    other.paused = True
    client = serving.connect()
    client.send(get())
    serving.balancer.until(lambda: stuck.requests["/it"] and other.requests["/it"])
    client.reset()
    serving.balancer.until(lambda: (stuck.given_up, other.given_up) == (1, 1))
    line = serving.balancer.access(target="/it")
    assert (line["reason"], line["hedge"]) == ("client-gone", "lost")
