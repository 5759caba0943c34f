"""Edits laid over a file: what the two say together, and where a problem is said to be."""

from pathlib import Path

import pytest
from evenly.config import ConfigError, Loaded, load_text
from evenly.config.edits import Edits, RouteEdit, edited

FILE = """\
[listeners.web]
bind = ":8080"

[pools.app]
endpoints = ["10.0.0.1:80", { address = "10.0.0.2:80", weight = 3 }]

[pools.other]
endpoints = "10.0.1.1:80"

[[routes]]
host = "a.example"
pool = "app"

[[routes]]
name = "rest"
pool = "other"
"""


@pytest.fixture
def written() -> Loaded:
    """Two pools and two routes, the first of which is called by its place."""
    return load_text(FILE, "evenly.toml", Path())


def addresses(loaded: Loaded, pool: str = "app") -> list[str]:
    """The endpoints of a pool."""
    return [str(each.address) for each in loaded.settings.pools[pool].endpoints]


def routes(loaded: Loaded) -> list[str]:
    """The names of routes, in order."""
    return [route.name for route in loaded.settings.routes]


def test_no_edits_change_nothing(written: Loaded) -> None:
    assert edited(written, Edits()) is written


def test_endpoints_are_added_changed_and_removed(written: Loaded) -> None:
    edits = Edits().with_endpoint("app", "10.0.0.3:80", {"address": "10.0.0.3:80", "backup": True})
    edits = edits.with_endpoint("app", "10.0.0.1:80", None)
    edits = edits.with_endpoint("app", "10.0.0.2:80", {"address": "10.0.0.2:80", "weight": 9})
    found = edited(written, edits)
    assert addresses(found) == ["10.0.0.2:80", "10.0.0.3:80"]
    assert [(each.weight, each.backup) for each in found.settings.pools["app"].endpoints] == [(9, False), (1, True)]
    # A pool whose list is a single text.
    found = edited(written, Edits().with_endpoint("other", "10.0.1.2:80", {"address": "10.0.1.2:80"}))
    assert addresses(found, "other") == ["10.0.1.1:80", "10.0.1.2:80"]
    assert addresses(written) == ["10.0.0.1:80", "10.0.0.2:80"]


def test_pools_are_added_replaced_and_removed(written: Loaded) -> None:
    edits = Edits().with_pool("new", {"endpoints": []}).with_pool("app", {"endpoints": ["10.9.0.1:80"]})
    found = edited(written, edits)
    assert set(found.settings.pools) == {"app", "other", "new"}
    assert addresses(found) == ["10.9.0.1:80"]
    with pytest.raises(ConfigError, match="expected the name of a pool"):
        edited(written, Edits().with_pool("other", None))


def test_replacing_a_pool_forgets_edits_of_its_endpoints() -> None:
    edits = Edits().with_endpoint("app", "10.0.0.3:80", {"address": "10.0.0.3:80"}).with_pool("app", {"endpoints": []})
    assert edits.endpoints == {}


def test_routes_keep_their_names_and_find_their_places(written: Loaded) -> None:
    table = {"host": "b.example", "pool": "app"}
    assert routes(edited(written, Edits().with_route("b", RouteEdit(table)))) == ["route-1", "rest", "b"]
    assert routes(edited(written, Edits().with_route("b", RouteEdit(table, "rest")))) == ["route-1", "b", "rest"]
    assert routes(edited(written, Edits().with_route("rest", RouteEdit(table, "route-1")))) == ["rest", "route-1"]
    assert routes(edited(written, Edits().with_route("route-1", RouteEdit(None)))) == ["rest"]
    found = edited(written, Edits().with_route("route-1", RouteEdit(table)))
    assert routes(found) == ["route-1", "rest"]
    assert str((found.settings.routes[0].host or [])[0]) == "b.example"


def test_a_file_without_routes_keeps_the_one_it_means() -> None:
    written = load_text('[listeners.web]\nbind = ":80"\n[pools.app]\nendpoints = []\n', "f", Path())
    found = edited(written, Edits().with_pool("second", {"endpoints": []}))
    assert [(route.name, route.pool) for route in found.settings.routes] == [("default", "app")]


@pytest.mark.parametrize(
    ("edits", "problem"),
    [
        (
            Edits().with_endpoint("app", "10.0.0.3:80", {"address": "10.0.0.3:80", "weight": -1}),
            "edited at run time: pools.app.endpoints[2].weight: expected an integer from 0 to 65535, found -1",
        ),
        (
            Edits().with_pool("app", {"endpoint": []}),
            "edited at run time: pools.app.endpoint: unknown key; did you mean `endpoints`?",
        ),
        (
            Edits().with_route("new", RouteEdit({"pool": "ap"}, "rest")),
            'edited at run time: routes[1].pool: expected the name of a pool, found "ap"; did you mean `app`?',
        ),
        # Where the file still speaks, the problem is at its line, wherever an edit has moved it to.
        (
            Edits().with_route("new", RouteEdit({"pool": "app"}, "route-1")).with_pool("other", None),
            'evenly.toml:16: routes[1].pool: expected the name of a pool, found "other"',
        ),
    ],
)
def test_problems_are_where_they_are(written: Loaded, edits: Edits, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        edited(written, edits)
    assert problem in str(refused.value).splitlines()


def test_what_has_no_effect_is_said(written: Loaded) -> None:
    edits = Edits().with_pool("gone", None).with_endpoint("away", "10.0.0.3:80", None)
    edits = edits.with_endpoint("app", "10.0.0.9:80", None).with_route("old", RouteEdit(None))
    edits = edits.with_route("late", RouteEdit({"host": "l.example", "pool": "app"}, "nowhere"))
    found = edited(written, edits)
    assert [str(warning) for warning in found.warnings] == [
        "edited at run time: pools.gone: removed already: the file has no such pool",
        'edited at run time: pools.away.endpoints."10.0.0.3:80": has no effect: there is no such pool',
        'edited at run time: pools.app.endpoints."10.0.0.9:80": removed already: the pool has no such endpoint',
        "edited at run time: routes.old: removed already: the file has no such route",
        'edited at run time: routes.late: stands at the end: there is no route "nowhere" to go before',
    ]
    assert routes(found) == ["route-1", "rest", "late"]


def test_forgetting_an_edit(written: Loaded) -> None:
    edits = Edits().with_pool("app", {"endpoints": []}).with_route("rest", RouteEdit(None))
    edits = edits.with_endpoint("other", "10.0.1.9:80", {"address": "10.0.1.9:80"})
    assert len(edits) == 3
    edits = edits.without("app", "pool").without("rest", "route").without_endpoint("other", "10.0.1.9:80")
    assert len(edits) == 0
    assert not edits
    assert edited(written, edits) is written
