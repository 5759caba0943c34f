"""`evenly diff FILE` says what a reload would touch, and exits as diff(1) does."""

import json

from ..support.balancer import configuration, run_verb
from ..support.wire import Peer


def test_it_says_what_would_change(run, port, servers, tmp_path) -> None:
    """With the connections that are open now, and without changing anything."""
    backends = servers("a", "b", "c")
    bound, leaving = port(), port()
    old = f'[listeners.old]\nbind = "{leaving}"\n'
    balancer = run(configuration(backends[0], backends[1], bind=bound, listener=old))
    admin = ("--admin", str(balancer.admin_path))
    candidate = tmp_path / "new.toml"
    candidate.write_text(balancer.file.read_text())
    assert run_verb("diff", str(candidate), *admin, expect=0).stdout == "nothing would change\n"
    with Peer.connect(bound.address) as stays, Peer.connect(leaving.address) as leaves:
        stays.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
        leaves.ask()
        balancer.until(lambda: any(each.requests["/hold"] for each in backends))
        holder = next(each for each in backends if each.requests["/hold"])
        other = backends[0] if holder is backends[1] else backends[1]
        candidate.write_text(configuration(other, backends[2], bind=bound))
        said = run_verb("diff", str(candidate), *admin, expect=1).stdout.splitlines()
        assert said == [
            "listeners: old removed",
            "pools: app changed",
            f"endpoints of app: {backends[2]} added, {holder} removed",
            "connections: 1 stay, 1 end after what is under way; 1 under way on leaving endpoints, to be finished",
        ]
        answer = json.loads(run_verb("diff", "--json", str(candidate), *admin, expect=1).stdout)
        assert answer["touched"] == {"connections_kept": 1, "connections_closed": 1, "requests_finished": 1}
        assert balancer.status()["generation"] == 1
        # And this is what happens.
        changes = balancer.reload(candidate.read_text())
        assert changes["listeners"]["removed"] == ["old"]
        leaves.expect_end()
        backends.release()
        assert stays.read_response().text == holder.name


def test_trouble(web, servers, tmp_path) -> None:
    """A file that is refused, one that is not there, and nobody to ask."""
    serving = web(*servers("a"))
    admin = ("--admin", str(serving.balancer.admin_path))
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(serving.balancer.file.read_text() + "nonsense = 1\n")
    assert "nonsense: unknown key" in run_verb("diff", str(wrong), *admin, expect=2).stderr
    assert "No such file" in run_verb("diff", str(tmp_path / "none.toml"), *admin, expect=2).stderr
    assert "nothing answers" in run_verb("diff", str(wrong), "--admin", str(tmp_path / "none"), expect=2).stderr
