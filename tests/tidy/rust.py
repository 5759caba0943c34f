"""Just enough Rust lexing to measure functions: comments and literals blanked out, braces matched."""

import re
from collections.abc import Iterator

# Comments, raw strings, strings and character literals; lifetimes ('a) have no closing quote and are left alone.
LITERALS = re.compile(
    r"""//[^\n]* | /\*.*?\*/
      | \bb?r(?P<hashes>\#*)".*?"(?P=hashes)
      | b?"(?:\\.|[^"\\])*"
      | b?'(?:\\(?:u\{\w+\}|x\w\w|.)|[^'\\\n])'""",
    re.DOTALL | re.VERBOSE,
)
FUNCTION = re.compile(r"\bfn\s+(\w+)")
TESTS = re.compile(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*mod\s+\w+\s*\{")


def blank(source: str) -> str:
    """`source` with comments and literals replaced by spaces; line breaks stay where they are."""
    return LITERALS.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), source)


def closing(code: str, opening: int) -> int:
    """The index of the brace that closes the one at `opening`."""
    depth = 0
    for index in range(opening, len(code)):
        if code[index] == "{":
            depth += 1
        elif code[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    return len(code)


def without_tests(source: str) -> str:
    """`source` up to and after its `#[cfg(test)]` modules, literals and comments blanked."""
    code = blank(source)
    while match := TESTS.search(code):
        code = code[: match.start()] + code[closing(code, match.end() - 1) + 1 :]
    return code


def functions(code: str) -> Iterator[tuple[str, int]]:
    """Each function that has a body, with its length in lines from `fn` to the closing brace."""
    for match in FUNCTION.finditer(code):
        body, end = code.find("{", match.end()), code.find(";", match.end())
        # A `;` before the brace ends a declaration without a body, unless it stands in an array type: [u8; 4].
        while 0 <= end < body and code.count("[", match.end(), end) > code.count("]", match.end(), end):
            end = code.find(";", end + 1)
        if body < 0 or 0 <= end < body:
            continue
        yield match.group(1), code.count("\n", match.start(), closing(code, body)) + 1
