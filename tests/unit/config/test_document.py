"""The document: deterministic, and every place in it leads back to the user's line. Its contents are goldens."""

import json
import re
from pathlib import Path

import pytest
from evenly.config import Document, document, load, resolve
from evenly.config.document import At
from evenly.config.problems import dotted
from evenly.config.schema import Endpoint, EndpointAddress

from tests.contract.goldens import GOLDEN, MACHINE, look_up


def golden(name: str) -> Document:
    return document(resolve(load(GOLDEN / f"{name}.toml"), MACHINE, look_up))


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("workers", "workers"),
        ("access_log.ring_bytes", "access_log.ring"),
        ("error_pages.503.body", "error_pages.503.body"),
        ("listeners[0]", "listeners.web"),
        ("listeners[0].name", "listeners.web"),
        ("listeners[0].bind[1]", "listeners.web.bind[1]"),
        ("listeners[0].timeouts.half_close_ms", "listeners.web.timeouts.half_close"),
        ("listeners[0].limits.min_rate_grace_ms", "listeners.web.limits.min_rate_grace"),
        ("listeners[0].trusted_proxies[2]", "listeners.web.trusted_proxies[2]"),
        ("listeners[1].pool", "listeners.db.pool"),
        ("pools[0].hash_key.name", "pools.app.hash_key"),
        ("pools[0].hash_bound_percent", "pools.app.hash_balance_factor"),
        ("pools[0].endpoints[0].address", "pools.app.endpoints[0]"),
        ("pools[0].endpoints[1].weight", "pools.app.endpoints[1].weight"),
        ("pools[0].health_check.probe.expected_status[1].first", "pools.app.health_check.expected_status[1]"),
        ("pools[0].health_check.jitter_percent", "pools.app.health_check.jitter"),
        ("routes[0].hosts[1]", "routes[0].host[1]"),
        ("routes[0].path.value", "routes[0].path"),
        ("routes[0].headers[0].value.value", "routes[0].headers.X-Stage"),
        ("routes[0].action.pool", "routes[0].pool"),
        ("routes[0].rewrite.replacement", "routes[0].rewrite.prefix"),
        ("routes[0].host_rewrite.value", "routes[0].host_rewrite.to"),
        ("routes[0].request_headers.set[0][1]", "routes[0].request_headers.set.X-Client"),
        ("routes[0].response_headers.add[1][0]", "routes[0].response_headers.add.Cache-Control"),
        ("routes[0].response_headers.add[1][1]", "routes[0].response_headers.add.Cache-Control[1]"),
        ("routes[0].rewrite.type", "routes[0].rewrite"),
        ("routes[0].path.kind", "routes[0].path"),
        ("routes[0].action.type", "routes[0]"),
        ("routes[0].timeouts.response_ms", "routes[0].timeouts.response"),
        ("routes[0].body_bytes", "routes[0].limits.body"),
        ("nonsense[3].x", ""),
        ("", ""),
    ],
)
def test_places_lead_back(path: str, place: str) -> None:
    assert golden("03-everything").problem(path, "no").path == place


def test_actions_lead_back() -> None:
    answers = golden("07-answers")
    assert answers.problem("routes[1].action.status", "no").path == "routes[1].respond.status"
    assert answers.problem("routes[2].action.location", "no").path == "routes[2].redirect.to"
    assert answers.problem("routes[3].action.location", "no").path == "routes[3].redirect"
    assert golden("06-balancers").problem("routes[0].action.pools[2][1]", "no").path == "routes[0].split.c"
    assert golden("08-matches").problem("routes[3].path.value", "no").path == "routes[3].path_regex"
    assert (
        golden("08-matches").problem("routes[4].headers[1].value.value", "no").path == "routes[4].headers.X-Regex.regex"
    )


def test_each_address_of_a_name_leads_back_to_the_name() -> None:
    names = golden("13-host-names")
    assert [names.problem(f"pools[0].endpoints[{i}].address", "no").line for i in range(5)] == [7, 8, 8, 8, 9]


def test_a_refusal_reads_like_any_other_problem() -> None:
    problem = str(golden("02-ten-lines").problem("pools[0].endpoints[1].address", "refused"))
    assert re.fullmatch(r".*/02-ten-lines\.toml:5: pools\.app\.endpoints\[1\]: refused", problem)


def test_a_route_that_nobody_wrote_has_no_line() -> None:
    problem = golden("01-minimal").problem("routes[0].action.pool", "refused")
    assert (problem.line, problem.path) == (None, "routes[0].pool")


def paths(value: object, path: str = "") -> list[str]:
    if isinstance(value, At):
        return paths(value.value, path)
    if isinstance(value, dict):
        return [path, *(p for key, inner in value.items() for p in paths(inner, f"{path}.{key}".lstrip(".")))]
    if isinstance(value, list):
        return [path, *(p for index, inner in enumerate(value) for p in paths(inner, f"{path}[{index}]"))]
    return [path]


@pytest.mark.parametrize("toml", sorted(GOLDEN.glob("*.toml")), ids=lambda path: path.stem)
def test_every_place_in_every_document_leads_to_an_option(toml: Path) -> None:
    """A place that names a field of the document, and no option, would send the user looking for it."""
    made = golden(toml.stem)
    for path in paths(json.loads(made.text)):
        text = made.problem(path, "no").path
        assert not re.search(
            r"(?<!max_ejection)_(ms|bytes|percent)\b|\baction\b|\bkind\b|\bhosts\b|\bprobe\b|\blocation\b|\bpattern\b",
            text,
        )


def test_the_same_settings_give_the_same_text() -> None:
    assert golden("03-everything").text == golden("03-everything").text


def test_found_endpoints_stand_behind_the_written_ones() -> None:
    resolved = resolve(load(GOLDEN / "16-discovery.toml"), MACHINE, look_up)
    found = {
        "srv": [Endpoint(address=EndpointAddress.parse(text), weight=7) for text in ("10.0.0.1:9000", "[fd00::1]:80")],
        # A pool that has no source any more.
        "gone": [Endpoint(address=EndpointAddress.parse("10.0.0.9:80"))],
    }
    whole = document(resolved, found)
    pools = {pool["name"]: pool["endpoints"] for pool in json.loads(whole.text)["pools"]}
    assert [(each["address"], each["weight"]) for each in pools["srv"]] == [("10.0.0.1:9000", 1), ("[fd00::1]:80", 7)]
    assert pools["dns"] == []
    assert dotted(whole.place("pools[1].endpoints[1].address")) == "pools.srv.endpoints[1].address"
    # The same, byte for byte, however it comes about.
    assert document(resolved).with_found(resolved, found).text == whole.text
    assert whole.with_found(resolved, {}).text == document(resolved).text
