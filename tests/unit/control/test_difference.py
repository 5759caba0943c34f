"""What a reload would touch."""

import asyncio
from pathlib import Path

import pytest
from evenly.config import ConfigError
from evenly.control.difference import Difference, difference, without_effect
from evenly.control.origin import Configuration, Origin
from evenly.control.splits import Splits
from evenly.control.status import ChangedNames, DataplaneStatus, EndpointStatus, ListenerStatus, PoolStatus
from evenly.control.supervisor import Supervisor

BEFORE = """\
workers = 1
[listeners.web]
bind = ["127.0.0.1:8080", "127.0.0.1:8081"]
[listeners.old]
bind = "127.0.0.1:8082"
[pools.app]
endpoints = ["10.0.0.1:80", "10.0.0.2:80"]
[pools.still]
endpoints = ["10.0.1.1:80"]
[[routes]]
name = "one"
host = "one.example"
pool = "still"
[[routes]]
name = "two"
host = "two.example"
pool = "still"
[[routes]]
name = "rest"
pool = "app"
"""


def configuration(directory: Path, text: str) -> Configuration:
    """A configuration of this text."""
    file = directory / "evenly.toml"
    file.write_text(text)
    return Origin.of_file(file).read()


def compared(directory: Path, after: str) -> Difference:
    """`BEFORE` runs with some connections and requests; what would `after` change?"""

    def endpoint(address: str, in_flight: int) -> EndpointStatus:
        return EndpointStatus(
            address=address, weight=1, backup=False, share=100, zone=None, priority=0, evacuated=False,
            state="healthy", reason="", since=0,
            in_flight=in_flight, requests=0, failures=0,
        )  # fmt: skip

    def listener(name: str, connections: int, *bind: str) -> ListenerStatus:
        return ListenerStatus(
            name=name, protocol="http", bind=list(bind), connections=connections, accepted=0, requests=0
        )

    status = DataplaneStatus(
        generation=1, workers=1, connections=12, requests=0, zone=None, zones=[],
        listeners=[listener("web", 7, "127.0.0.1:8080", "127.0.0.1:8081"), listener("old", 5, "127.0.0.1:8082")],
        pools=[
            PoolStatus(
                name="app", balance="round-robin", fallback=None, levels=[],
                endpoints=[endpoint("10.0.0.1:80", 3), endpoint("10.0.0.2:80", 4)]
            ),
            PoolStatus(
                name="still", balance="round-robin", fallback=None, levels=[], endpoints=[endpoint("10.0.1.1:80", 9)]
            ),
        ],
    )  # fmt: skip
    return difference(configuration(directory, BEFORE).document, configuration(directory, after).document, status)


def test_the_same(tmp_path: Path) -> None:
    found = compared(tmp_path, BEFORE + "# a remark\n")
    assert not found.differs
    assert found.touched.model_dump() == {"connections_kept": 12, "connections_closed": 0, "requests_finished": 0}


def test_endpoints(tmp_path: Path) -> None:
    after = BEFORE.replace('"10.0.0.1:80", "10.0.0.2:80"', '{ address = "10.0.0.2:80", weight = 2 }, "10.0.0.3:80"')
    found = compared(tmp_path, after)
    assert found.pools == ChangedNames(changed=["app"])
    names = ChangedNames(added=["10.0.0.3:80"], removed=["10.0.0.1:80"], changed=["10.0.0.2:80"])
    assert found.endpoints == {"app": names}
    assert found.touched.requests_finished == 3
    assert (found.listeners, found.routes, found.process) == (ChangedNames(), ChangedNames(), [])


def test_listeners_and_their_connections(tmp_path: Path) -> None:
    after = BEFORE.replace('[listeners.old]\nbind = "127.0.0.1:8082"\n', "")
    found = compared(tmp_path, after)
    assert found.listeners == ChangedNames(removed=["old"])
    assert (found.touched.connections_kept, found.touched.connections_closed) == (7, 5)
    # Under another name, but somebody listens there.
    found = compared(tmp_path, BEFORE.replace("listeners.old", "listeners.new"))
    assert found.listeners == ChangedNames(added=["new"], removed=["old"])
    assert found.touched.connections_closed == 0


def test_routes_that_only_move_are_changed(tmp_path: Path) -> None:
    lines = BEFORE.splitlines(keepends=True)
    one = next(index for index, line in enumerate(lines) if '"one"' in line) - 1
    moved = "".join([*lines[:one], *lines[one + 4 : one + 8], *lines[one : one + 4], *lines[one + 8 :]])
    assert compared(tmp_path, moved).routes == ChangedNames(changed=["two", "one"])
    # What stands before or after it has changed nothing about a route that stays.
    assert compared(tmp_path, "".join([*lines[:one], *lines[one + 4 :]])).routes == ChangedNames(removed=["one"])


def test_the_process(tmp_path: Path) -> None:
    found = compared(tmp_path, 'access_log = "-"\n' + BEFORE.replace("workers = 1", "workers = 2"))
    assert found.differs
    assert found.process == ["access_log", "workers"]


def test_edits_and_what_was_found_stay(supervisor: Supervisor, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evenly.control.supervisor.check", lambda document: [])
    text = file.read_text()

    async def ask(candidate: str) -> Difference:
        return await supervisor.difference(candidate, "new.toml", file.parent)

    assert not asyncio.run(ask(text)).differs
    assert asyncio.run(ask(text.replace("9002", "9003"))).endpoints == {
        "app": ChangedNames(added=["127.0.0.1:9003"], removed=["127.0.0.1:9002"])
    }
    with pytest.raises(ConfigError, match=r"new\.toml:5: pools\.app\.endpoint: unknown key"):
        asyncio.run(ask(text.replace("endpoints", "endpoint")))


def test_what_was_set_at_run_time_and_would_be_no_more(tmp_path: Path) -> None:
    """Weights that a file has others under now, unless they are the same; zones that nobody is in any more."""
    split = 'pool = "app"', "split = { app = 1, still = 0 }"
    written = BEFORE.replace(*split).replace('"10.0.0.1:80"', '{ address = "10.0.0.1:80", zone = "a" }')
    splits = Splits().with_weights("rest", {"app": 1, "still": 0}, {"app": 1, "still": 3})
    running = configuration(tmp_path, written).with_splits(splits)

    def told(after: str) -> list[str]:
        would = configuration(tmp_path, after).with_splits(running.splits)
        return [str(each) for each in without_effect(running, would, {"a": 2e9})]

    assert told(written + "# a remark\n") == []
    assert told(written.replace("app = 1, still = 0", "app = 1, still = 3")) == []
    cleared = "routes.rest.split: would be cleared: its own weights are no longer those that it was set over"
    assert told(written.replace("app = 1, still = 0", "app = 2, still = 0")) == [f"set at run time: {cleared}"]
    assert told(BEFORE) == [
        f"set at run time: {cleared}",
        "set at run time: zones.a: would stay evacuated without an endpoint in it",
    ]
