"""How problems read."""

from evenly.config.problems import SHOWN, ConfigError, Problem, dotted, nearest


def test_a_problem_is_one_line_that_editors_can_follow() -> None:
    problem = Problem("evenly.toml", 12, 1, "pools.app.balanse", "unknown key; did you mean `balance`?")
    assert str(problem) == "evenly.toml:12: pools.app.balanse: unknown key; did you mean `balance`?"
    assert str(Problem("evenly.toml", None, None, "", "there is no such file")) == "evenly.toml: there is no such file"


def test_places_are_written_as_in_toml() -> None:
    assert dotted(("pools", "app", "endpoints", 1, "weight")) == "pools.app.endpoints[1].weight"
    assert dotted(("routes", 0, "headers", "X Y")) == 'routes[0].headers."X Y"'
    assert dotted(("pools", "a.b", 'c"d')) == 'pools."a.b"."c\\"d"'
    assert dotted(("", "\x7f")) == '""."\\u007f"'


def test_the_nearest_word() -> None:
    assert nearest("endpoint", ["endpoints", "balance"]) == "endpoints"
    assert nearest("Backends", ["pools", "listeners"]) == "pools"
    assert nearest("backends", ["listeners"]) is None
    assert nearest("xyz", ["endpoints"]) is None


def test_a_flood_is_cut() -> None:
    problem = Problem("evenly.toml", 1, 1, "a", "no")
    text = str(ConfigError([problem] * (SHOWN + 1_000)))
    assert len(text.splitlines()) == SHOWN + 1
    assert text.endswith("… and 1,000 more")
