"""Endpoints come from a source, change while requests run, and stay when the source is gone."""

import json
from pathlib import Path

import pytest

from ..support.balancer import configuration, run_verb
from ..support.load import Load
from ..support.wire import Peer

QUICK = 'interval = "50ms", retry_min = "50ms", retry_max = "200ms"'


def text(bind: object, discovery: str, top: str = "", pool: str = "") -> str:
    """A file whose pool has a source only."""
    return configuration(bind=bind, top=top, pool=f"discovery = {discovery}\n{pool}").replace("endpoints = []\n", "")


class Inventory:
    """A file that says what a pool has."""

    def __init__(self, path: Path, *endpoints: object) -> None:
        self.path = path
        self.say(*endpoints)

    @property
    def source(self) -> str:
        """The option that names it."""
        return f'{{ type = "file", path = "{self.path}", {QUICK} }}'

    def say(self, *endpoints: object) -> None:
        """Replaces it as whoever writes a file for others should."""
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps({"endpoints": [str(each) for each in endpoints]}))
        beside.rename(self.path)


@pytest.fixture
def inventory(tmp_path):
    """Starts an inventory with endpoints."""
    return lambda *endpoints: Inventory(tmp_path / "app.json", *endpoints)


def has(balancer, *endpoints: object) -> None:
    """Waits until the pool has exactly these endpoints."""
    expected = {str(each) for each in endpoints}
    pool = "/api/pools/app"
    balancer.until(lambda: {each["address"] for each in balancer.admin.get(pool).json()["endpoints"]} == expected)


def test_they_come_and_go_under_load(run, port, servers, inventory) -> None:
    """Twenty changes, and no request fails."""
    backends = servers("a", "b", "c", "d")
    listed = inventory(*backends)
    bound = port()
    balancer = run(text(bound, listed.source))
    with Load(bound, connections=8) as kept, Load(bound, connections=4, fresh=True) as fresh:
        for turn in range(20):
            chosen = [each for index, each in enumerate(backends) if index not in (turn % 4, (turn + turn // 4) % 4)]
            listed.say(*chosen)
            has(balancer, *chosen)
            served = [each.served for each in backends]
            kept.wait_for(60)
            asked = {each.name for each, before in zip(backends, served, strict=True) if each.served > before}
            assert {each.name for each in chosen} <= asked
    kept.assert_clean()
    fresh.assert_clean()
    assert balancer.metric("evenly_discovery_changes_total", pool="app") >= 20
    assert balancer.metric("evenly_discovery_up", pool="app", type="file") == 1


def test_one_that_vanishes_finishes_what_it_has(run, port, servers, inventory) -> None:
    """It is drained, not cut, and gets nothing new."""
    backends = servers("a", "b")
    listed = inventory(backends[0])
    bound = port()
    balancer = run(text(bound, listed.source))
    with Peer.connect(bound.address) as client, Peer.connect(bound.address) as other:
        client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
        balancer.until(lambda: backends[0].requests["/hold"])
        listed.say(backends[1])
        has(balancer, backends[1])
        assert {other.ask().text for _ in range(4)} == {"b"}
        backends.release()
        assert client.read_response().text == "a"
        assert client.ask().text == "b"


def test_a_source_that_fails_keeps_the_last_endpoints(run, port, servers, inventory) -> None:
    """It is said in the log, in the metrics and in the status, and it recovers by itself."""
    backends = servers("a", "b")
    listed = inventory(backends[0])
    bound = port()
    balancer = run(text(bound, listed.source))
    listed.path.write_text("half a docu")
    entry = balancer.wait_log("discovery failed", pool="app", reason="invalid")
    assert (entry["kept"], entry["level"]) == (1, "warning")
    with Peer.connect(bound.address) as client:
        assert client.ask().text == "a"
    source = balancer.status()["pools"][0]["discovery"]
    assert (source["state"], source["endpoints"]) == ("failing", 1)
    assert "not JSON" in source["error"]
    assert balancer.metric("evenly_discovery_up", pool="app") == 0
    assert balancer.metric("evenly_discovery_failures_total", pool="app", reason="invalid") >= 1
    shown = run_verb("status", "--admin", str(balancer.admin_path)).stdout
    assert "failing" in shown
    assert "not JSON" in shown
    listed.say(backends[1])
    has(balancer, backends[1])
    balancer.wait_log("discovery recovered", pool="app")


def test_written_ones_are_always_there(run, port, servers, inventory) -> None:
    """`endpoints` beside `discovery`: both, each address once, and what is written holds."""
    backends = servers("a", "b")
    listed = inventory(*backends)
    balancer = run(
        configuration(f'{{ address = "{backends[0]}", weight = 5 }}', bind=port(), pool=f"discovery = {listed.source}")
    )
    has(balancer, *backends)
    assert [each["weight"] for each in balancer.status()["pools"][0]["endpoints"]] == [5, 1]
    listed.say()
    balancer.wait_log("discovery failed", reason="empty")
    has(balancer, *backends)


def test_a_restart_serves_while_the_source_is_down(run, port, servers, inventory, tmp_path) -> None:
    """With `state_dir`: the last good endpoints are there from the first request on."""
    backends = servers("a")
    listed = inventory(*backends)
    bound = port()
    file = text(bound, listed.source, top=f'state_dir = "{tmp_path}/state"')
    run(file).end()
    kept = tmp_path / "state" / "discovered.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    listed.path.unlink()
    balancer = run(file)
    with Peer.connect(bound.address) as client:
        assert client.ask().text == "a"
    source = balancer.status()["pools"][0]["discovery"]
    assert (source["state"], source["endpoints"]) == ("failing", 1)


def test_without_anything_known_it_serves_as_soon_as_the_source_answers(run, port, servers, inventory) -> None:
    """Until then the answer is 503."""
    backends = servers("a")
    listed = inventory()
    listed.path.unlink()
    bound = port()
    balancer = run(text(bound, listed.source))
    with Peer.connect(bound.address) as client:
        assert client.ask().status == 503
        listed.say(*backends)
        has(balancer, *backends)
        assert client.ask().text == "a"


def test_an_upgrade_hands_them_over(run, port, servers, inventory) -> None:
    """Also with the source down and no `state_dir`; no request fails."""
    backends = servers("a")
    listed = inventory(*backends)
    bound = port()
    balancer = run(text(bound, listed.source))
    listed.path.unlink()
    balancer.wait_log("discovery failed")
    with Load(bound, connections=4) as load:
        run_verb("upgrade", "--admin", str(balancer.admin_path))
        balancer.follow(balancer.status()["pid"])
        load.wait_for(100)
    load.assert_clean()


def test_a_reload_from_written_to_found(run, port, servers, inventory) -> None:
    """The source is asked before the new configuration is applied, so there is no gap."""
    backends = servers("a", "b")
    listed = inventory(backends[1])
    bound = port()
    balancer = run(configuration(backends[0], bind=bound))
    with Load(bound, connections=4) as load:
        balancer.reload(text(bound, listed.source))
        has(balancer, backends[1])
        load.wait_for(50)
        listed.path.unlink()
        # Another source that has nothing to say: what the last one found stays.
        balancer.reload(text(bound, listed.source.replace("app.json", "other.json")))
        load.wait_for(50)
        has(balancer, backends[1])
    load.assert_clean()


def test_other_pools_are_not_touched(run, port, servers, inventory) -> None:
    """Their connections to endpoints are kept, whatever changes beside them."""
    backends, others = servers("a", "b"), servers("still")
    listed = inventory(*backends)
    bound = port()
    routes = '[[routes]]\nhost = "still.test"\npool = "still"\n[[routes]]\npool = "app"\n'
    more = f'[pools.still]\nendpoints = ["{others[0]}"]\n{routes}'
    balancer = run(f"{text(bound, listed.source)}\n{more}")
    with Peer.connect(bound.address) as client:
        for turn in range(10):
            assert client.ask(host="still.test").text == "still"
            listed.say(backends[turn % 2])
            has(balancer, backends[turn % 2])
        assert client.ask(host="still.test").text == "still"
    assert others[0].connections == 1


def test_health_checks_judge_them(run, port, servers, inventory) -> None:
    """A found endpoint starts as every other one does; one that stays keeps its state and what an operator set."""
    backends = servers("a", "b")
    listed = inventory(backends[0])
    check = 'health_check = { type = "http", path = "/healthz", interval = "50ms" }'
    balancer = run(text(port(), listed.source, pool=check))
    balancer.wait_log("endpoint", endpoint=str(backends[0]), to="healthy")
    balancer.set_endpoint(backends[0], state="draining")
    listed.say(*backends)
    balancer.wait_log("endpoint", endpoint=str(backends[1]), to="healthy")
    assert balancer.endpoint(backends[0])["state"] == "draining"
    listed.say(backends[1])
    has(balancer, backends[1])
    listed.say(*backends)
    # It was away, and is back as the operator had set it.
    has(balancer, *backends)
    assert balancer.endpoint(backends[0])["state"] == "draining"


@pytest.mark.parametrize("set_to", [{"state": "maintenance"}, {"weight": 0}])
def test_one_that_comes_back_is_what_an_operator_made_of_it(run, port, servers, inventory, set_to) -> None:
    """From its first moment: under load, not one request reaches it."""
    backends = servers("a", "b")
    listed = inventory(*backends)
    bound = port()
    balancer = run(text(bound, listed.source))
    balancer.set_endpoint(backends[0], **set_to)
    with Load(bound, connections=8) as load:
        for _ in range(8):
            listed.say(backends[1])
            has(balancer, backends[1])
            listed.say(*backends)
            has(balancer, *backends)
            load.wait_for(30)
    load.assert_clean()
    assert backends[0].served == 0
    assert balancer.wait_log("endpoints back as they were set")["endpoints"] == str(backends[0])
