"""Endpoints leave and come back at an operator's word, and nobody notices: `evenly drain`, `ready`, `maintenance`."""

from ..support.balancer import run_verb
from ..support.load import Load


def test_each_endpoint_in_turn_under_load(web, servers) -> None:
    """Every endpoint drains once and comes back; no request fails."""
    backends = servers("a", "b", "c")
    serving = web(*backends)
    with Load(serving.port, connections=8) as load:
        for each in backends:
            assert serving.balancer.set_endpoint(each, state="draining")["state"] == "draining"
            serving.balancer.until(lambda each=each: serving.balancer.endpoint(each)["in_flight"] == 0)
            before = each.served
            load.wait_for(200)
            assert each.served == before
            assert serving.balancer.set_endpoint(each, state="ready")["state"] == "healthy"
            load.wait_for(100)
            assert each.served > before
    load.assert_clean()


def test_what_is_under_way_is_finished(web, servers) -> None:
    """Draining ends nothing."""
    backends = servers("a", "b")
    serving = web(*backends)
    client = serving.connect()
    client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    serving.balancer.until(lambda: backends[0].requests["/hold"] + backends[1].requests["/hold"])
    holder = next(each for each in backends if each.requests["/hold"])
    assert serving.balancer.set_endpoint(holder, state="draining")["in_flight"] == 1
    backends.release()
    assert client.read_response().text == holder.name


def test_everyone_drains(web, servers) -> None:
    """With every endpoint draining the answer is 503, with that reason."""
    backends = servers("a")
    serving = web(*backends, top='access_log = "-"')
    serving.balancer.set_endpoint(backends[0], state="draining")
    assert serving.connect().ask("/none").status == 503
    assert serving.balancer.access(target="/none")["reason"] == "no-endpoint-draining"
    serving.balancer.set_endpoint(backends[0], state="maintenance")
    assert serving.connect().ask("/never").status == 503
    assert serving.balancer.access(target="/never")["reason"] == "no-endpoint-maintenance"


def test_verbs(web, servers) -> None:
    """The command line does the same."""
    backends = servers("a", "b")
    serving = web(*backends)
    admin = ("--admin", str(serving.balancer.admin_path))
    client = serving.connect()
    run_verb("drain", "app", str(backends[0]), *admin)
    assert serving.balancer.endpoint(backends[0])["state"] == "draining"
    assert {client.ask().text for _ in range(6)} == {"b"}
    run_verb("maintenance", "app", str(backends[0]), *admin)
    assert serving.balancer.endpoint(backends[0])["state"] == "maintenance"
    run_verb("ready", "app", str(backends[0]), *admin)
    assert {client.ask().text for _ in range(6)} == {"a", "b"}
    failed = run_verb("drain", "app", "127.0.0.1:1", *admin, expect=1)
    assert "127.0.0.1:1" in failed.stderr


def test_state_survives_a_reload(web, servers) -> None:
    """A reload does not put a drained endpoint back to work."""
    backends = servers("a", "b")
    serving = web(*backends)
    serving.balancer.set_endpoint(backends[0], state="draining")
    serving.balancer.reload(serving.balancer.file.read_text() + "\n# changed\n")
    assert serving.balancer.endpoint(backends[0])["state"] == "draining"
    client = serving.connect()
    assert {client.ask().text for _ in range(6)} == {"b"}
