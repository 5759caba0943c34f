"""Traffic stays in the node's zone while that has capacity, and overflows in proportion when it has not."""

import time
from collections import Counter

import pytest

from ..support.balancer import Balancer, Web, configuration, run_verb
from ..support.server import Server, Servers

REQUESTS = 1000


def placed(server: Server, **place: object) -> str:
    """An endpoint's table: `placed(server, zone="a", priority=1)`."""
    written = {key: str(value).lower() if isinstance(value, bool) else repr(value) for key, value in place.items()}
    options = "".join(f", {key} = {value}" for key, value in written.items())
    return f'{{ address = "{server}"{options} }}'


def asked(web: Web, requests: int = REQUESTS) -> Counter[str]:
    """How many requests each server answers."""
    client = web.connect()
    return Counter(client.ask().text for _ in range(requests))


def share(found: Counter[str], *names: str) -> float:
    """The share of these servers."""
    return sum(found[name] for name in names) / sum(found.values())


def shares(balancer: Balancer) -> list[float]:
    """What the status says that each level gets."""
    return [level["share"] for level in balancer.status()["pools"][0]["levels"]]


@pytest.fixture
def two_zones(servers, web) -> tuple[Servers, Web]:
    """Four endpoints in the node's zone `a`, and one in `b`."""
    backends = servers("a1", "a2", "a3", "a4", "b1")
    endpoints = [placed(each, zone=each.name[0]) for each in backends]
    return backends, web(*endpoints, top='node = { zone = "a" }')


def test_the_own_zone_first(two_zones) -> None:
    """All requests stay in the zone, evenly."""
    _, serving = two_zones
    found = asked(serving, 400)
    assert found == {"a1": 100, "a2": 100, "a3": 100, "a4": 100}
    assert shares(serving.balancer) == [1.0, 0.0]


def test_it_keeps_all_while_it_has_capacity(two_zones) -> None:
    """One of four out leaves 75 %, times 1.4 is more than all."""
    backends, serving = two_zones
    serving.balancer.set_endpoint(backends[0], state="maintenance")
    assert share(asked(serving, 300), "a2", "a3", "a4") == 1


@pytest.mark.parametrize(("out", "local"), [(2, 0.70), (3, 0.35), (4, 0.0)])
def test_overflow_is_proportional(two_zones, out: int, local: float) -> None:
    """What the zone keeps is 1.4 times its healthy share; status, metric and traffic agree."""
    backends, serving = two_zones
    for each in list(backends)[:out]:
        serving.balancer.set_endpoint(each, state="maintenance")
    assert shares(serving.balancer) == pytest.approx([local, 1 - local])
    assert serving.balancer.metric("evenly_pool_level_share", zone="local") == pytest.approx(local)
    # Five standard deviations of 1,000 requests are at most 8 %.
    assert 1 - share(asked(serving), "b1") == pytest.approx(local, abs=0.08)


def test_everybody_down(two_zones) -> None:
    """With no zone left the answer is 503, and the first endpoint that is back gets all."""
    backends, serving = two_zones
    for each in backends:
        serving.balancer.set_endpoint(each, state="draining")
    assert serving.connect().ask("/").status == 503
    serving.balancer.set_endpoint(backends[1], state="ready")
    assert asked(serving, 20) == {"a2": 20}


def test_priorities(servers, web) -> None:
    """A later priority gets nothing before the first lacks capacity, and a backup nothing before both are gone."""
    backends = servers("first", "second", "backup")
    serving = web(
        placed(backends[0]),
        placed(backends[1], priority=1),
        placed(backends[2], backup=True),
        pool="overprovisioning = 1.0",
    )
    for expected in ("first", "second", "backup"):
        assert asked(serving, 20) == {expected: 20}
        serving.balancer.set_endpoint(next(each for each in backends if each.name == expected), state="draining")
    assert serving.connect().ask("/").status == 503


def test_a_dead_endpoint_is_replaced_across_levels(servers, web, endpoint) -> None:
    """The only endpoint of the first level refuses connections: the second try goes to the next level."""
    (backend,) = servers("second")
    address = str(endpoint)
    endpoint.close()
    serving = web(f'{{ address = "{address}" }}', placed(backend, priority=1))
    assert serving.connect().ask("/").text == "second"


def test_the_zone_of_the_environment_and_of_the_command_line(servers, run, port) -> None:
    """Nodes share one file: `$EVENLY_ZONE` goes before it, and `--zone` before both."""
    backends = servers("a1", "b1", "c1")
    endpoints = [placed(each, zone=each.name[0]) for each in backends]
    for expected, options in (
        ("b1", {"environment": {"EVENLY_ZONE": "b"}}),
        ("c1", {"environment": {"EVENLY_ZONE": "b"}, "arguments": ("--zone", "c")}),
    ):
        bound = port()
        balancer = run(configuration(*endpoints, bind=bound, top='node = { zone = "a" }'), **options)
        web = Web(balancer, bound)
        assert asked(web, 10) == {expected: 10}
        assert balancer.status()["zone"] == expected[0]
        web.hang_up()


def test_evacuation(two_zones) -> None:
    """The verb moves traffic away at once, a reload changes nothing about it, and it can be lifted."""
    backends, serving = two_zones
    admin = ("--admin", str(serving.balancer.admin_path))
    assert "evacuated for 30 min" in run_verb("evacuate", "a", "--for", "30m", *admin).stdout
    assert asked(serving, 20) == {"b1": 20}
    assert [zone["evacuated_until"] is not None for zone in serving.balancer.status()["zones"]] == [True, False]
    assert serving.balancer.endpoint(backends[0])["evacuated"]
    assert "zone a is evacuated for another 30 min" in run_verb("status", *admin).stdout
    assert 1700 < serving.balancer.metric("evenly_zone_evacuation_seconds", zone="a") <= 1800
    text = serving.balancer.file.read_text()
    serving.balancer.reload(text.replace(f'"{backends[4]}"', f'"{backends[4]}", weight = 2'))
    assert asked(serving, 20) == {"b1": 20}
    run_verb("evacuate", "a", "--cancel", *admin)
    assert share(asked(serving, 20), "b1") == 0
    serving.balancer.wait_log("zone", zone="a", to="in service", reason="set by the operator")


def test_an_evacuation_ends_by_itself(two_zones) -> None:
    """Nobody has to remember it: the packet path takes the zone back."""
    _, serving = two_zones
    began = time.monotonic()
    serving.balancer.admin.put("/api/zones/a/evacuation", json={"time": "1s"})
    serving.balancer.wait_log("zone", zone="a", to="in service", reason="its time is over")
    assert time.monotonic() - began >= 1
    assert share(asked(serving, 20), "b1") == 0


def test_an_evacuation_survives_an_upgrade(two_zones) -> None:
    """The new process knows for how long it still lasts."""
    _, serving = two_zones
    serving.balancer.admin.put("/api/zones/a/evacuation", json={"time": "10m"})
    serving.balancer.follow(serving.balancer.admin.post("/api/upgrade").json()["pid"])
    assert serving.balancer.wait() == 0
    assert asked(serving, 20) == {"b1": 20}
    until = next(zone["evacuated_until"] for zone in serving.balancer.status()["zones"] if zone["name"] == "a")
    assert 500 < until - time.time() <= 600


def test_an_evacuation_is_no_outage(two_zones) -> None:
    """With all zones evacuated, or none but the evacuated one left, its endpoints serve all the same."""
    backends, serving = two_zones
    serving.balancer.admin.put("/api/zones/a/evacuation", json={"time": "10m"})
    serving.balancer.set_endpoint(backends[4], state="draining")
    assert share(asked(serving, 20), "a1", "a2", "a3", "a4") == 1


def test_an_evacuation_needs_an_end_and_a_zone(two_zones) -> None:
    """No time, too long a time, and a zone that nobody is in are refused."""
    _, serving = two_zones
    admin = ("--admin", str(serving.balancer.admin_path))
    run_verb("evacuate", "a", *admin, expect=2)
    assert "from 1s to 168h" in run_verb("evacuate", "a", "--for", "1000h", *admin, expect=1).stderr
    assert "a, b" in run_verb("evacuate", "nowhere", "--for", "1m", *admin, expect=1).stderr
    run_verb("evacuate", "a", "--cancel", *admin, expect=1)
    assert serving.balancer.admin.put("/api/zones/a/evacuation", json={}).status_code == 422
