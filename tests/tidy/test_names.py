"""Names and words: what says nothing, and what does not belong into a published tree."""

import re
from collections.abc import Iterator

from .tree import assert_none, files, production, read

# Drawers into which anything fits: sooner or later everything is in them.
EMPTY_NAMES = {"utils", "util", "helper", "helpers", "common", "manager", "base", "misc"}
DEFINITION = re.compile(
    r"^\s*(?:pub(?:\([a-z]+\))?\s+)?(?:class|def|async def|fn|struct|enum|trait|mod|type)\s+(\w+)", re.MULTILINE
)
WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+")

# Written in two halves, so that this file passes its own rule.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/(?:wo" r"rk|ro" r"ot|home/\w+|tmp/\w)(?:/|\b)")
EMOJI = re.compile("[\U0001f300-\U0001faff\u2705\u274c\u2728]")


def test_files_and_definitions_have_telling_names() -> None:
    """No file, folder, class or function is a drawer."""

    def offences() -> Iterator[tuple[str, str]]:
        for path in files():
            drawers = EMPTY_NAMES & {part.split(".")[0] for part in path.parts}
            if drawers:
                yield str(path), f"named {drawers}: say what it holds"
        for path in production(".rs", ".py", ".pyi"):
            for name in DEFINITION.findall(read(path)):
                drawers = EMPTY_NAMES & {word.lower() for word in WORDS.findall(name)}
                if drawers:
                    yield f"{path}::{name}", f"named {drawers}: say what it does"

    assert_none("names", offences())


def test_nothing_is_left_for_later() -> None:
    """Open work stands in issues, with somebody's name on it, not in the source."""

    def offences() -> Iterator[tuple[str, str]]:
        for path in files():
            if found := UNFINISHED.search(read(path)):
                yield str(path), f"says {found.group()}"

    assert_none("unfinished", offences())


def test_no_paths_of_one_machine() -> None:
    """What works only where it was written is not published."""

    def offences() -> Iterator[tuple[str, str]]:
        for path in files():
            if found := MACHINE_PATHS.search(read(path)):
                yield str(path), f"names {found.group()}, a path of one machine"

    assert_none("machine-paths", offences())


def test_no_emojis() -> None:
    """Plain text in source, documents and logs."""

    def offences() -> Iterator[tuple[str, str]]:
        for path in files():
            if found := EMOJI.search(read(path)):
                yield str(path), f"has {found.group()!r}"

    assert_none("emoji", offences())
