"""Weights of a split and evacuations that operators have set are there after a restart, however the process ended."""

import json
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from ..support.balancer import Balancer, Web, run_verb
from ..support.ports import Port

FILE = """
workers = 1
state_dir = "{state}"
[listeners.web]
bind = "{bind}"
[pools.stable]
endpoints = [{{ address = "{a}", zone = "a" }}, {{ address = "{b}", zone = "b" }}]
[pools.canary]
endpoints = ["{canary}"]
[[routes]]
name = "shop"
host = "shop.test"
split = {{ stable = 1, canary = 0 }}
[[routes]]
pool = "stable"
"""


class Shop:
    """One file, and the processes that run it one after the other."""

    def __init__(self, run, port: Port, servers, state: Path) -> None:
        a, b, canary = servers("a", "b", "canary")
        self._run = run
        self._port = port
        self.kept = state / "edits.json"
        self.file = FILE.format(state=state, bind=port, a=a, b=b, canary=canary)
        self.balancer: Balancer = run(self.file)

    def asked(self, host: str = "shop.test") -> set[str]:
        """Who answers."""
        client = Web(self.balancer, self._port).connect()
        found = Counter(client.ask(host=host).text for _ in range(20))
        client.close()
        return set(found)

    def evacuate(self, length: str) -> None:
        """Zone `a`, for so long."""
        assert self.balancer.admin.put("/api/zones/a/evacuation", json={"time": length}).is_success

    def split(self, stable: int, canary: int) -> None:
        """Sets the weights."""
        weights = {"stable": stable, "canary": canary}
        assert self.balancer.admin.put("/api/routes/shop/split", json=weights).is_success

    def stop(self, number: signal.Signals) -> None:
        """Ends the process by this signal."""
        self.balancer.signal(number)
        self.balancer.wait()

    def start(self, file: str | None = None) -> None:
        """Runs the file again, or another."""
        self.balancer = self._run(file or self.file)

    def restart(self, number: signal.Signals, file: str | None = None) -> None:
        """Both."""
        self.stop(number)
        self.start(file)

    def evacuated(self) -> dict[str, float]:
        """How long zones that are evacuated stay so."""
        zones = self.balancer.status()["zones"]
        return {each["name"]: each["evacuated_until"] - time.time() for each in zones if each["evacuated_until"]}


@pytest.fixture
def shop(run, port, servers, tmp_path) -> Shop:
    """Runs."""
    return Shop(run, port(), servers, tmp_path / "state")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_keeps_them(shop, number) -> None:
    """From the first request on, as long as they would have lasted; what an operator then takes back stays so."""
    shop.split(0, 1)
    shop.evacuate("10m")
    shop.restart(number)
    assert (shop.asked(), shop.asked("other.test")) == ({"canary"}, {"b"})
    assert 500 < shop.evacuated()["a"] <= 600
    told = " ".join(run_verb("status", "--admin", str(shop.balancer.admin_path)).stdout.split())
    assert "100% to canary (set by the operator; the file says stable=1 canary=0)" in told
    assert "zone a is evacuated for another 10 min" in told
    shown = json.loads(run_verb("edits", "--admin", str(shop.balancer.admin_path)).stdout)
    assert shown["splits"] == {"shop": {"weights": {"stable": 0, "canary": 1}, "file": {"stable": 1, "canary": 0}}}
    assert list(shown["evacuations"]) == ["a"]
    assert shop.kept.stat().st_mode & 0o777 == 0o600
    assert shop.balancer.admin.delete("/api/routes/shop/split").is_success
    assert shop.balancer.admin.delete("/api/zones/a/evacuation").is_success
    shop.restart(number)
    assert shop.asked() == {"a", "b"}
    assert shop.evacuated() == {}


def test_an_upgrade_hands_them_over_and_a_restart_after_it_has_them(shop) -> None:
    """The process that takes over keeps them as well."""
    shop.split(0, 1)
    shop.evacuate("10m")
    shop.kept.unlink()
    first = shop.balancer
    first.follow(first.admin.post("/api/upgrade").json()["pid"])
    assert first.wait() == 0
    assert shop.asked() == {"canary"}
    endpoint = first.status()["pools"][0]["endpoints"][0]["address"]
    first.set_endpoint(endpoint, pool="stable", weight=5)
    first.end()
    shop.start()
    assert (shop.asked(), shop.asked("other.test")) == ({"canary"}, {"b"})


def test_an_evacuation_that_ended_meanwhile_is_over(shop) -> None:
    """Its end is a moment, not a time that a process has to live."""
    shop.evacuate("1s")
    until = json.loads(shop.kept.read_text())["content"]["evacuations"]["a"]
    shop.stop(signal.SIGKILL)
    shop.balancer.until(lambda: time.time() > until)
    shop.start()
    assert shop.evacuated() == {}
    assert shop.asked() == {"a", "b"}


def test_what_no_longer_fits_is_dropped(shop) -> None:
    """Weights of a route whose own have changed and a zone that is gone, said in the log, and not back later."""
    shop.split(0, 1)
    shop.evacuate("10m")
    other = shop.file.replace("stable = 1, canary = 0", "stable = 2, canary = 0").replace('zone = "a"', 'zone = "c"')
    shop.restart(signal.SIGTERM, other)
    shop.balancer.wait_log("split cleared", route="shop")
    shop.balancer.wait_log("evacuation dropped", zone="a")
    assert shop.asked() == {"a", "b"}
    shop.restart(signal.SIGTERM)
    assert shop.asked() == {"a", "b"}
    assert shop.evacuated() == {}


def test_a_file_that_cannot_be_read_is_kept_aside(shop) -> None:
    """The service goes on without it."""
    shop.split(0, 1)
    text = shop.kept.read_text().replace('"weights":{"stable":0', '"weights":{"stable":"none"')
    shop.stop(signal.SIGKILL)
    shop.kept.write_text(text)
    shop.start()
    shop.balancer.wait_log("state not used", kept_as="edits.refused.json")
    assert shop.asked() == {"a", "b"}
    assert shop.kept.with_suffix(".refused.json").read_text() == text


def test_a_reload_that_would_clear_them_is_told_of(shop, tmp_path) -> None:
    """`evenly diff` says so before."""
    shop.split(0, 1)
    candidate = tmp_path / "new.toml"
    candidate.write_text(shop.file.replace("stable = 1, canary = 0", "stable = 2, canary = 0"))
    told = run_verb("diff", str(candidate), "--admin", str(shop.balancer.admin_path), expect=1)
    assert "set at run time: routes.shop.split: would be cleared" in told.stderr
    assert "routes: shop changed" in told.stdout
    shop.balancer.reload(candidate.read_text())
    shop.restart(signal.SIGKILL)
    assert shop.asked() == {"a", "b"}
