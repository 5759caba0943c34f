"""Endpoints, pools and routes are added, changed and removed while it runs: nobody notices, a restart keeps them."""

import json

from ..support.balancer import configuration, run_verb
from ..support.load import Load
from ..support.wire import Peer


def addresses(balancer, pool: str = "app") -> set[str]:
    """The endpoints of a pool."""
    return {each["address"] for each in balancer.admin.get(f"/api/pools/{pool}").json()["endpoints"]}


def test_every_endpoint_is_replaced_under_load(web, servers) -> None:
    """One comes, one goes, ten times over: no request fails."""
    first, *others = servers(*(f"s{index}" for index in range(11)))
    serving = web(first)
    place = "/api/pools/app/endpoints"
    with Load(serving.port, connections=8) as kept, Load(serving.port, connections=4, fresh=True) as fresh:
        leaving = first
        for joining in others:
            assert serving.balancer.admin.post(f"{place}/{joining}").status_code == 201
            assert addresses(serving.balancer) == {str(leaving), str(joining)}
            kept.wait_for(50)
            assert serving.balancer.admin.delete(f"{place}/{leaving}").status_code == 200
            kept.wait_for(50)
            assert addresses(serving.balancer) == {str(joining)}
            leaving = joining
    kept.assert_clean()
    fresh.assert_clean()
    assert all(each.served for each in others)


def test_a_restart_keeps_them(run, port, servers, tmp_path) -> None:
    """Edits and operators' states are there from the first request on; a file set aside is said."""
    backends = servers("a", "b", "c")
    bound = port()
    file = configuration(backends[0], backends[1], bind=bound, top=f'state_dir = "{tmp_path}/state"')
    balancer = run(file)
    assert balancer.admin.post(f"/api/pools/app/endpoints/{backends[2]}").json()["kept"]
    assert balancer.admin.delete(f"/api/pools/app/endpoints/{backends[0]}").status_code == 200
    balancer.admin.put("/api/pools/blue", json={"endpoints": [str(backends[0])]})
    balancer.admin.put("/api/routes/blue", params={"before": "default"}, json={"host": "blue.test", "pool": "blue"})
    balancer.set_endpoint(backends[1], state="maintenance")
    balancer.end()
    again = run(file)
    with Peer.connect(bound.address) as client:
        assert {client.ask().text for _ in range(6)} == {"c"}
        assert client.ask(host="blue.test").text == "a"
    assert again.endpoint(backends[1])["state"] == "maintenance"
    assert again.status()["edits"] == 4
    again.end()
    (tmp_path / "state" / "edits.json").write_text("{")
    fresh = run(file)
    fresh.wait_log("state not used")
    assert addresses(fresh) == {str(backends[0]), str(backends[1])}


def test_a_reload_keeps_them_and_discarding_takes_them_back(web, servers) -> None:
    """What the file says is the ground, and edits lie on it."""
    backends = servers("a", "b")
    serving = web(backends[0])
    admin = ("--admin", str(serving.balancer.admin_path))
    added = run_verb("add", "app", str(backends[1]), "--weight", "3", *admin)
    assert "state_dir" in added.stderr
    serving.balancer.reload(serving.balancer.file.read_text() + "\n# changed\n")
    assert serving.balancer.endpoint(backends[1])["weight"] == 3
    shown = json.loads(run_verb("edits", *admin).stdout)
    assert set(shown["endpoints"]["app"]) == {str(backends[1])}
    assert "1 edited at run time" in run_verb("status", *admin).stdout
    run_verb("remove", "app", str(backends[0]), *admin)
    assert addresses(serving.balancer) == {str(backends[1])}
    run_verb("edits", "--discard", *admin)
    assert addresses(serving.balancer) == {str(backends[0])}


def test_an_upgrade_keeps_them(run, port, servers) -> None:
    """Without a place to keep them, the successor is told."""
    backends = servers("a", "b")
    bound = port()
    balancer = run(configuration(backends[0], bind=bound))
    balancer.admin.post(f"/api/pools/app/endpoints/{backends[1]}")
    balancer.set_endpoint(backends[0], state="draining")
    with Load(bound, connections=4) as load:
        run_verb("upgrade", "--admin", str(balancer.admin_path))
        balancer.follow(balancer.status()["pid"])
        load.wait_for(50)
    load.assert_clean()
    assert addresses(balancer) == {str(each) for each in backends}
    assert balancer.endpoint(backends[0])["state"] == "draining"


def test_a_weight_is_taken_back(run, port, servers, tmp_path) -> None:
    """It counts over reloads and restarts until it is cleared; then the file's does, over a restart, too."""
    backends = servers("a", "b")
    bound = port()
    entry = f'{{ address = "{backends[0]}", weight = 7 }}'
    file = configuration(entry, backends[1], bind=bound, top=f'state_dir = "{tmp_path}/state"')
    balancer = run(file)
    verb = ("weight", "app", str(backends[0]))
    admin = ("--admin", str(balancer.admin_path))
    assert "has weight 0" in run_verb(*verb, "0", *admin).stdout
    balancer.reload(file.replace("weight = 7", "weight = 5"))
    balancer.end()
    again = run(file)
    admin = ("--admin", str(again.admin_path))
    assert again.endpoint(backends[0])["weight"] == 0
    with Peer.connect(bound.address) as client:
        assert {client.ask().text for _ in range(9)} == {"b"}
        assert "has weight 7" in run_verb(*verb, "--clear", *admin).stdout
        again.reload(file.replace("weight = 7", "weight = 8"))
        assert [client.ask().text for _ in range(9)].count("a") == 8
    again.end()
    assert run(file).endpoint(backends[0])["weight"] == 7
    run_verb(*verb, *admin, expect=2)


def test_a_request_under_way_on_what_is_removed_is_finished(web, servers) -> None:
    """Its endpoint is gone from the pool, and the answer still comes."""
    backends = servers("a", "b")
    serving = web(*backends)
    client = serving.connect()
    client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    serving.balancer.until(lambda: any(each.requests["/hold"] for each in backends))
    holder = next(each for each in backends if each.requests["/hold"])
    assert serving.balancer.admin.delete(f"/api/pools/app/endpoints/{holder}").status_code == 200
    assert addresses(serving.balancer) == {str(each) for each in backends if each is not holder}
    backends.release()
    assert client.read_response().text == holder.name
