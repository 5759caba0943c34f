"""Profiles as callgrind writes them for each thread."""

import pytest

from bench.hotspots import lists, short
from bench.load import callgrind
from bench.load.callgrind import Place

# `work` calls `copy` twice from code of `inlined.rs`, and itself once; `start` called it before counting began.
WORKER = """# callgrind format
version: 1
pid: 7002
part: 2
thread: 4

positions: line
events: Ir
summary: 0


ob=(1) /lib/libc.so.6
fl=(1) clone.S
fn=(1) start
cob=(2) /src/_native.so
cfi=(2) /src/crates/proxy/src/work.rs
cfn=(2) work
calls=0 40 \n\
100 345

ob=(2)
fl=(2)
fn=(2)
40 100
+2 20
fi=(3) /rustc/0123abcd/library/core/src/inlined.rs
* 5
cob=(1)
cfi=(4) memcpy.S
cfn=(3) copy
calls=2 7
-32 150
fe=(2)
12 50
cfn=(2)
calls=1 40
+1 60

ob=(1)
fl=(4)
fn=(3)
7 170
-1 30

totals: 345
"""

PYTHON = WORKER.replace("fn=(1) start", "fn=(1) _PyEval_Vector'2")


def test_the_total_stands_at_the_end():
    assert callgrind.total(WORKER) == 345


@pytest.mark.parametrize("profile", ["", "events: Ir\n", "events: Dr\ntotals: 3\n"])
def test_other_text_is_no_profile(profile):
    with pytest.raises(ValueError, match="not a callgrind profile"):
        callgrind.total(profile)


def test_threads_of_python_are_told_by_the_interpreter_on_their_stack():
    assert [callgrind.runs_python(text) for text in (WORKER, PYTHON)] == [False, True]


def test_own_instructions_are_those_not_spent_in_calls():
    profile = callgrind.read([WORKER])
    assert profile.own == {"work": 175, "copy": 200}
    assert profile.lines == {
        ("/src/crates/proxy/src/work.rs", 40): 100,
        ("/src/crates/proxy/src/work.rs", 42): 20,
        ("/rustc/0123abcd/library/core/src/inlined.rs", 42): 5,
        ("/src/crates/proxy/src/work.rs", 12): 50,
        ("memcpy.S", 7): 170,
        ("memcpy.S", 6): 30,
    }


def test_calls_are_counted_where_they_stand():
    profile = callgrind.read([WORKER])
    place = Place("work", "/rustc/0123abcd/library/core/src/inlined.rs", 10)
    assert profile.calls[place, "copy"] == 150
    assert profile.callers("cop") == {"work (/rustc/0123abcd/library/core/src/inlined.rs:10)": 150}


def test_inclusive_instructions_count_a_call_of_itself_once():
    assert callgrind.read([WORKER]).inclusive() == {"start": 345, "work": 325, "copy": 200}


def test_threads_are_summed_though_each_numbers_its_names():
    other = WORKER.replace("(2)", "(9)")
    assert callgrind.read([WORKER, other]).own == {"work": 350, "copy": 400}


def test_the_list_of_own_lines_leaves_out_the_code_of_others():
    shown = lists(callgrind.read([WORKER]), called="")
    (own_lines,) = (counts for title, counts in shown.items() if title.startswith("Own lines"))
    assert own_lines == {
        f"/src/crates/proxy/src/work.rs:{line}": count for line, count in ((40, 100), (42, 20), (12, 50))
    }


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/src/crates/proxy/src/work.rs", "proxy/src/work.rs"),
        (
            "work::{{closure}} (/opt/cargo/registry/src/index-1/tokio-1/src/a.rs:5)",
            "work::{{closure}} (tokio-1/src/a.rs:5)",
        ),
        ("<a::B as c::D>::e", "<a::B as c::D>::e"),
    ],
)
def test_paths_are_shown_from_where_they_tell_something(name, shown):
    assert short(name) == shown
