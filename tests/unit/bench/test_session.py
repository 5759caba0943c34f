"""The order of a session, and what a failing contender does to it."""

from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from bench import __main__ as command
from bench import session
from bench.peers import HAPROXY, NAMES, NGINX, Contender, Peer, fill
from bench.rows import Plan
from bench.rows.table import ROWS, chosen


def peer(name: str, absent: str | None = None) -> Peer:
    return Peer(name, None, lambda _, __: [], lambda: "1", lambda: absent)


@dataclass
class Scripted:
    """A row that keeps the order of measurements and fails where it is told to."""

    contenders: tuple[Contender, ...]
    failing: tuple[str, int] = ("", 0)
    order: list[str] = field(default_factory=list)
    name: str = "scripted"
    title: str = "Scripted"
    figure: str = "cpu_us"

    def runs(self, plan):
        return plan.runs

    def cost(self, plan, contenders):
        return float(plan.runs * contenders)

    @contextmanager
    def open(self, stage, plan):
        def measure(contender):
            self.order.append(contender.label)
            if self.failing == (contender.label, self.order.count(contender.label)):
                raise RuntimeError("went away")
            return {"cpu_us": float(len(self.order))}

        yield measure


def run(row: Scripted, names=("a", "b", "c"), runs=3):
    told = []
    (measured,) = session.run(None, [row], names, Plan(runs, 1), lambda *began: told.append(began), lambda *_: None)
    return measured, told


A, B, C = (Contender(name, peer(name)) for name in "abc")


def test_contenders_take_turns():
    row = Scripted((A, B, C))
    measured, told = run(row)
    assert "".join(row.order) == "abcabcabc"
    assert measured.values("b") == [2.0, 5.0, 8.0]
    assert told == [(0, 9.0)]


def test_only_the_wanted_are_measured():
    row = Scripted((A, B, C))
    run(row, names=("a", "c"), runs=1)
    assert row.order == ["a", "c"]


def test_who_fails_leaves_the_row_and_the_others_go_on():
    row = Scripted((A, B), failing=("a", 2))
    measured, _ = run(row)
    assert "".join(row.order) == "ababb"
    assert measured.missing == {"a": "went away"}
    assert list(measured.samples) == ["b"]


def test_who_cannot_run_is_missing_with_its_reason():
    measured, _ = run(Scripted((A, Contender("b", peer("b", absent="not installed")))))
    assert measured.missing == {"b": "not installed"}


def test_templates_are_filled_and_an_unknown_name_is_an_error():
    assert fill("bind @HTTP@; set $host {x}; a@b", {"HTTP": "80"}) == "bind 80; set $host {x}; a@b"
    with pytest.raises(KeyError):
        fill("@NOBODY@", {})


def test_rows_are_chosen_by_name_before_beginning():
    assert [row.name for row in chosen(["small1"])] == ["small1"]
    assert [row.name for row in chosen(["close", "small"])] == ["small1", "small64", "small256", "close"]
    with pytest.raises(ValueError, match="no row 'fast'"):
        chosen(["fast"])


def test_names_in_the_table_are_unique():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    for row in ROWS:
        labels = [one.label for one in row.contenders]
        assert len(set(labels)) == len(labels)


def test_a_whole_session_is_planned_to_fit_into_fifteen_minutes():
    assert sum(row.cost(command.FULL, len(row.contenders)) for row in ROWS) < 15 * 60


def test_the_command_line():
    options = command.arguments(["--rows", "idle", "--peers", "haproxy,nginx", "--runs", "7", "--gate"])
    assert [row.name for row in options.rows] == ["idle"]
    assert options.peers == [HAPROXY.name, NGINX.name]
    assert (options.runs, options.gate) == (7, True)
    assert command.arguments([]).peers == list(NAMES)


@pytest.mark.parametrize("argv", [["--rows", "fast"], ["--peers", "apache"]])
def test_unknown_names_are_refused(argv, capsys):
    with pytest.raises(SystemExit):
        command.arguments(argv)
    assert "no " in capsys.readouterr().err
