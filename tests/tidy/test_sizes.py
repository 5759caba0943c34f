"""Sizes: what fits on a few screens is read; what does not is skimmed."""

import ast
from collections.abc import Iterator

from .rust import functions, without_tests
from .tree import ROOT, assert_none, files, production, read

# Production lines, blank ones left out. 80 to 300 is what to aim at; this is where a split is due.
FILE_LINES = 450
FUNCTION_LINES = 70
# The binding crate translates and does nothing else; past this it has started to decide.
BINDING_LINES = 400


def filled(text: str) -> int:
    """Lines that are not blank."""
    return sum(1 for line in text.splitlines() if line.strip())


def test_files_are_short() -> None:
    """No source file of the product outgrows FILE_LINES."""

    def offences() -> Iterator[tuple[str, str]]:
        for path in production(".rs", ".py"):
            lines = filled(without_tests(read(path)) if path.suffix == ".rs" else read(path))
            if lines > FILE_LINES:
                yield str(path), f"{lines} lines, more than {FILE_LINES}"

    assert_none("file-lines", offences())


def python_functions(source: str) -> Iterator[tuple[str, int]]:
    """Each function with its length in lines, docstring left out."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            yield node.name, (node.end_lineno or 0) - first.lineno + 1


def test_functions_are_short() -> None:
    """No function outgrows FUNCTION_LINES, in the product as in the tests."""

    def offences() -> Iterator[tuple[str, str]]:
        for path in files(".rs", ".py"):
            source = read(path)
            found = functions(without_tests(source)) if path.suffix == ".rs" else python_functions(source)
            for name, lines in found:
                if lines > FUNCTION_LINES:
                    yield f"{path}::{name}", f"{lines} lines, more than {FUNCTION_LINES}"

    assert_none("function-lines", offences())


def test_the_binding_only_translates() -> None:
    """crates/python stays small enough to be read in one go."""
    lines = sum(len(read(path).splitlines()) for path in files(".rs") if path.is_relative_to("crates/python"))
    assert lines <= BINDING_LINES, f"crates/python has {lines} lines; what it decides belongs into core or proxy"


def test_the_measure_itself() -> None:
    """The Rust lexer sees through strings, comments, lifetimes and test modules."""
    function = "fn a<'x>(s: &'x [u8; 4]) -> char {\n \"}\"; /* } */ // }\n '}'\n}\n"
    source = function + "#[cfg(test)]\nmod tests {\n fn b() {}\n}\n"
    assert list(functions(without_tests(source))) == [("a", 4)]
    assert (ROOT / "Cargo.toml").is_file()
