"""An operator moves a split's weights while the process runs; they hold until the file's own change."""

from collections import Counter

import pytest

from ..support.balancer import Balancer, Web, run_verb

FILE = """
workers = 1
[listeners.web]
bind = "{bind}"
[pools.stable]
endpoints = ["{stable}"]
[pools.canary]
endpoints = ["{canary}"]
[[routes]]
name = "shop"
split = {{ stable = 1, canary = 0 }}
"""


@pytest.fixture
def shop(servers, run, port) -> tuple[Balancer, Web]:
    """All requests go to `stable`."""
    stable, canary = servers("stable", "canary")
    bound = port()
    balancer = run(FILE.format(bind=bound, stable=stable, canary=canary))
    return balancer, Web(balancer, bound)


def asked(web: Web, requests: int = 40) -> Counter[str]:
    """How many requests each pool answers."""
    client = web.connect()
    found = Counter(client.ask().text for _ in range(requests))
    client.close()
    return found


def test_the_weights_change_at_once(shop) -> None:
    """By verb; connections that are open stay so; status and metrics show it."""
    balancer, web = shop
    admin = ("--admin", str(balancer.admin_path))
    client = web.connect()
    assert client.ask().text == "stable"
    told = run_verb("split", "shop", "stable=0", "canary=5", *admin).stdout
    assert "0% to stable, 100% to canary" in told
    assert "set by the operator; the file says stable=1 canary=0" in " ".join(told.split())
    assert client.ask().text == "canary"
    client.close()
    assert asked(web) == {"canary": 40}
    assert balancer.status()["splits"] == [
        {"route": "shop", "weights": {"stable": 0, "canary": 5}, "file": {"stable": 1, "canary": 0}}
    ]
    assert balancer.metric("evenly_route_split_weight", route="shop", pool="canary") == 5
    assert "100% to canary" in run_verb("status", *admin).stdout
    run_verb("split", "shop", "--clear", *admin)
    assert asked(web) == {"stable": 40}


def test_shares_are_kept(shop) -> None:
    """A fifth of the requests goes to the canary."""
    balancer, web = shop
    assert balancer.admin.put("/api/routes/shop/split", json={"stable": 80, "canary": 20}).is_success
    # Five standard deviations.
    assert 137 <= asked(web, 1000)["canary"] <= 263


def test_a_reload_keeps_them_until_the_files_own_change(shop) -> None:
    """Whoever edits the route's weights has the last word."""
    balancer, web = shop
    balancer.admin.put("/api/routes/shop/split", json={"stable": 0, "canary": 1})
    text = balancer.file.read_text()
    balancer.reload(text + "\n# something else\n")
    assert asked(web) == {"canary": 40}
    balancer.reload(text.replace("stable = 1, canary = 0", "stable = 2, canary = 0"))
    assert asked(web) == {"stable": 40}
    balancer.wait_log("split cleared", route="shop")
    assert balancer.status()["splits"][0]["weights"] == {"stable": 2, "canary": 0}


def test_an_upgrade_keeps_them(shop) -> None:
    """The new process starts with them."""
    balancer, web = shop
    balancer.admin.put("/api/routes/shop/split", json={"stable": 0, "canary": 1})
    balancer.follow(balancer.admin.post("/api/upgrade").json()["pid"])
    assert balancer.wait() == 0
    assert asked(web) == {"canary": 40}


def test_what_does_not_fit_is_refused(shop) -> None:
    """A pool that is not in the split, one left out, no weight at all, an unknown route."""
    balancer, web = shop
    for weights in ({"stable": 1}, {"stable": 1, "canary": 1, "other": 1}, {"stable": 0, "canary": 0}, {"stable": -1}):
        assert balancer.admin.put("/api/routes/shop/split", json=weights).status_code == 422, weights
    assert balancer.admin.put("/api/routes/none/split", json={"stable": 1}).status_code == 404
    assert "shop" in run_verb("split", "none", "--admin", str(balancer.admin_path), expect=1).stderr
    assert asked(web) == {"stable": 40}
