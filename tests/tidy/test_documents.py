"""Documents: every first screen is there, and what the texts point at exists."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from .tree import ROOT, assert_none, files, production, read

LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")
CODE_PATH = re.compile(r"`((?:crates|python|tests|bench|fuzz|examples|docs)/[\w./-]+)`")
LINE_NUMBER = re.compile(r"\.(?:rs|py|pyi)[:#]L?\d+|\blines? \d+\b")


def test_each_module_says_what_it_is() -> None:
    """Rust files begin with `//!`, Python modules with a docstring."""

    def offences() -> Iterator[tuple[str, str]]:
        for path in production(".rs"):
            if not read(path).startswith("//!"):
                yield str(path), "does not begin with a //! line that says what it is"
        for path in files(".py"):
            if not ast.get_docstring(ast.parse(read(path))):
                yield str(path), "has no docstring"

    assert_none("first-screen", offences())


def test_each_crate_and_package_has_a_first_screen() -> None:
    """A crate's or package's front page says what it is, what it is not, and where to start: more than one line."""

    def offences() -> Iterator[tuple[str, str]]:
        for path in production(".rs"):
            said = " ".join(line for line in read(path).splitlines() if line.startswith("//!"))
            if path.name == "lib.rs" and len(said.split()) < 25:
                yield str(path), "fewer than 25 words of //! for a whole crate"
        for path in production(".py"):
            if path.name == "__init__.py" and len((ast.get_docstring(ast.parse(read(path))) or "").split()) < 12:
                yield str(path), "a docstring of fewer than 12 words for a whole package"

    assert_none("front-page", offences())


def test_links_lead_somewhere() -> None:
    """Relative links and the code paths that documents name exist."""

    def offences() -> Iterator[tuple[str, str]]:
        for path in files(".md"):
            text = read(path)
            for target in LINK.findall(text):
                if not re.match(r"[a-z]+:", target) and not (ROOT / path.parent / target).exists():
                    yield f"{path}::{target}", "leads nowhere"
            for target in CODE_PATH.findall(text):
                if not (ROOT / target).exists():
                    yield f"{path}::{target}", "is not in the tree"

    assert_none("links", offences())


def test_documents_never_cite_line_numbers() -> None:
    """Line numbers are wrong after the next change; symbols are found by name."""

    def offences() -> Iterator[tuple[str, str]]:
        for path in files(".md"):
            if found := LINE_NUMBER.search(read(path)):
                yield str(path), f"cites {found.group()!r}"

    assert_none("line-numbers", offences())


def test_every_document_is_reachable_from_the_readme() -> None:
    """A page nobody links to is a page nobody reads."""
    pages = {path for path in files(".md") if path.parts[0] == "docs"}
    seen: set[Path] = set()
    waiting = [Path("README.md"), Path("ARCHITECTURE.md"), Path("CONTRIBUTING.md")]
    while waiting:
        page = waiting.pop()
        if page in seen or not (ROOT / page).is_file():
            continue
        seen.add(page)
        for target in LINK.findall(read(page)):
            if target.endswith(".md") and ":" not in target:
                waiting.append((ROOT / page.parent / target).resolve().relative_to(ROOT))
    assert pages <= seen, f"not linked from anywhere: {sorted(map(str, pages - seen))}"
