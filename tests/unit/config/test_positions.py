"""Lines and columns: every way TOML has to write a key, and agreement with the standard library's parser."""

import tomllib
from collections.abc import Iterator

import pytest
from evenly.config.positions import Positions
from evenly.config.problems import Place
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.goldens import GOLDEN

from .writing import PATIENT

TEXT = '''\
# a comment = 1
top = 1
a.b."c d" = 2 # dotted
'quoted' = """
[not.a.table]
key = "no" """
literal = \'\'\'
"""\'\'\'

[table] # comment ]
one = "]" # x
two = { inline = 1, nested = { deep = [1, "}"] } }
  three = [ # comment
    1,
    [2, 3], "a # b",
    { x = "\\"" },
  ]
when = 1979-05-27 07:32:00

[[array]]
name = 1
[array.sub]
key = 1
[[array]]
[[array.inner]]
[[array.inner]]
deep = 1

[ spaced . header ]
end = true'''


@pytest.mark.parametrize(
    ("place", "line", "column"),
    [
        (("top",), 2, 1),
        (("a",), 3, 1),
        (("a", "b"), 3, 3),
        (("a", "b", "c d"), 3, 5),
        (("quoted",), 4, 1),
        (("literal",), 7, 1),
        (("table",), 10, 2),
        (("table", "two", "inline"), 12, 9),
        (("table", "two", "nested", "deep", 1), 12, 43),
        (("table", "three"), 13, 3),
        (("table", "three", 0), 14, 5),
        (("table", "three", 1, 1), 15, 9),
        (("table", "three", 2), 15, 13),
        (("table", "three", 3, "x"), 16, 7),
        (("table", "when"), 18, 1),
        (("array", 0, "name"), 21, 1),
        (("array", 0, "sub", "key"), 23, 1),
        (("array", 1, "inner", 0), 25, 9),
        (("array", 1, "inner", 1, "deep"), 27, 1),
        (("spaced", "header"), 29, 12),
        (("spaced", "header", "end"), 30, 1),
    ],
)
def test_places(place: Place, line: int, column: int) -> None:
    assert Positions(TEXT).find(place) == (line, column)


def test_what_is_missing_is_found_around() -> None:
    positions = Positions(TEXT)
    assert positions.find(("table", "missing", 3)) == (10, 2)
    assert positions.find(("missing",)) is None
    assert positions.find(()) is None


def test_windows_line_ends() -> None:
    assert Positions("a = 1\r\n[b]\r\nc = 1\r\n").find(("b", "c")) == (3, 1)


def all_places(value: object, place: Place = ()) -> Iterator[Place]:
    """Every place in what `tomllib` returned."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, element in inner:
        yield (*place, step)
        yield from all_places(element, (*place, step))


def test_agreement_with_tomllib_on_every_golden() -> None:
    texts = [TEXT]
    for path in sorted(GOLDEN.rglob("*.toml")):
        texts.append(path.read_text(encoding="utf-8"))
    for text in texts:
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            continue
        assert Positions(text).places() == set(all_places(data))


PIECES = st.sampled_from(
    [
        "a",
        "b",
        "1",
        '"q"',
        "'l'",
        '"""',
        "'''",
        "\\",
        ".",
        "=",
        " = ",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        ",",
        "#",
        " ",
        "\n",
    ]
)


@PATIENT
@given(st.lists(PIECES, max_size=40).map("".join))
def test_agreement_with_tomllib_on_everything_it_accepts(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert Positions(text).places() == set(all_places(data))


KEYS = st.sampled_from(["a", "b-c", '"d e"', "'f'", "g.h"])
SCALARS = st.sampled_from(
    ["1", "true", '"x # y"', "'''z\n'''", '"""\\"""" """', "1979-05-27 07:32:00", "-inf", '""""q""""']
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: "[ " + ",\n".join(values) + " ]"),
        st.dictionaries(KEYS, inner, max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{key} = {value}" for key, value in pairs.items()) + "}"
        ),
    ),
    max_leaves=8,
)
LINES = st.one_of(
    st.tuples(KEYS, VALUES).map(" = ".join), KEYS.map("[{}]".format), KEYS.map("[[{}]]".format), st.just("# note")
)


@PATIENT
@given(st.lists(LINES, max_size=12).map("\n".join))
def test_agreement_with_tomllib_on_well_formed_lines(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # a key or table defined twice
    assert Positions(text).places() == set(all_places(data))
