"""Writes what is derived from the schema: the reference for people and the JSON Schema for editors.

    python -m evenly.config.reference [--check] docs/reference

writes `configuration.md` into the directory and `evenly.schema.json` beside it, or fails if they are out of date.
"""

import json
import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from .expand import toml
from .schema import Bounds, Matching, Says, Settings, Table, alternatives, options

_INTRODUCTION = """\
# Configuration

Evenly reads one [TOML](https://toml.io/en/v1.0.0) file. Ten lines are enough:

```toml
[listeners.web]
bind = "0.0.0.0:8080"

[pools.app]
endpoints = ["10.0.0.1:9000", "10.0.0.2:9000"]
balance = "least-requests"
health_check = "/healthz"

[[routes]]
pool = "app"
```

The last two lines could be left out: a file with one pool and no routes sends every request to that pool.

* **Everything has a default** but addresses and names. `evenly check --expand FILE` prints the file with every default
  written out and every short form in its long form.
* **Units are required.** Durations are written `"500ms"`, `"10s"`, `"2m"` or `"1h"`; sizes `"512B"`, `"64KiB"`,
  `"1MiB"` or `"1GiB"` (powers of 1,024); byte rates `"240B/s"`; rates `"20/s"`, `"100/m"` or `"1000/h"`; shares
  `"10%"`. A bare number is an error.
* **Every wait ends and every size is bounded.** There are no switches to turn a timeout off.
* **Short forms.** Where a table has one option that matters, that option can stand for the table, and where a list has
  one element, that element can stand for the list.
* **A mistake is an error**, not a guess: unknown keys, wrong types and names that nothing defines are all reported at
  once, each with its line, its path and the nearest key that exists. A reload with a mistake changes nothing.
* **Relative paths** start at the configuration file's directory.
* **Names** of listeners, pools and routes consist of letters, digits, `-`, `_` and `.`.
* **Host names** of endpoints are looked up when the file is read; each address found becomes an endpoint.

Editors that know JSON Schema complete and check the file with `docs/evenly.schema.json`.

This page is generated from the schema in `python/evenly/config/schema/`.
"""


def render(directory: Path) -> dict[Path, str]:
    """The text of each generated file; `directory` is that of the reference."""
    return {directory / "configuration.md": reference(), directory.parent / "evenly.schema.json": json_schema()}


def stale(directory: Path) -> list[Path]:
    """Generated files that are not what the schema says."""
    return [
        path
        for path, text in render(directory).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def write(directory: Path) -> None:
    """Writes the generated files."""
    for path, text in render(directory).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def reference() -> str:
    """The page for people."""
    sections = list(tables(Settings))
    contents = "\n".join(f"* {_link(table)}" for table in sections)
    return "\n".join([_INTRODUCTION, "## Contents", "", contents, *(_section(table) for table in sections)]) + "\n"


def json_schema() -> str:
    """The JSON Schema (2020-12)."""
    schema = Settings.model_json_schema(mode="validation", schema_generator=_EditorSchema)
    described = (
        {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema | {"title": "Evenly's configuration"}
    )
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


def tables(table: type[Table]) -> Iterator[type[Table]]:
    """A table and every table that can stand in it, each once, in the order of the schema."""
    seen: dict[type[Table], None] = {}

    def visit(annotation: object) -> None:
        if isinstance(annotation, type) and issubclass(annotation, Table) and annotation not in seen:
            seen[annotation] = None
            for field in annotation.model_fields.values():
                visit(field.annotation)
        for inner in get_args(annotation):
            visit(inner)

    visit(table)
    yield from seen


class _EditorSchema(GenerateJsonSchema):
    """Writes defaults as they stand in a file, not as the objects that they become."""

    def encode_default(self, dft: Any) -> Any:  # noqa: ANN401 - pydantic's signature
        if isinstance(dft, Table):
            return dft.model_dump(mode="json", exclude_none=True)
        if isinstance(dft, list):
            return [self.encode_default(element) for element in dft]
        if isinstance(dft, dict):
            return {name: self.encode_default(element) for name, element in dft.items()}
        return str(dft) if hasattr(dft, "parse") else dft


def _section(table: type[Table]) -> str:
    lines = ["", f"## {table.heading}", "", f"Stands in: `{table.where}`", "", cleandoc(table.__doc__ or ""), ""]
    if table.example:
        lines += ["```toml", table.example.strip(), "```", ""]
    lines += ["| option | type | default | |", "|---|---|---|---|"]
    for name, field in options(table).items():
        kind = _kind(field.annotation, field.metadata)
        cells = (f"`{name}`", kind, _default(field), (field.description or "") + _example(name, field))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _link(table: type[Table]) -> str:
    """To its section, by the anchor that GitHub makes: lower case, dashes for spaces, no colon."""
    return f"[{table.heading}](#{table.heading.lower().replace(' ', '-').replace(':', '')})"


def _example(name: str, field: FieldInfo) -> str:
    return f" Example: `{name} = {toml(field.examples[0])}`." if field.examples else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "see right"
    if field.default is None:
        return "not set"
    if isinstance(field.default, Table):
        return "its defaults"
    return f"`{toml(field.default)}`"


def _kind(annotation: Any, metadata: list[Any]) -> str:  # noqa: ANN401 - typing has no type for its special forms
    """What may stand there, in words."""
    for mark in reversed(metadata):
        if isinstance(mark, Bounds):
            return str(mark)
        if isinstance(mark, Matching | Says):
            return mark.what
    arguments = get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return _link(annotation)
    if get_origin(annotation) is Annotated:
        return _kind(arguments[0], list(arguments[1:]))
    if get_origin(annotation) is Literal:
        words = [str(word) for word in arguments]
        return alternatives(words) if isinstance(arguments[0], str) else ", ".join(words)
    if get_origin(annotation) in {Union, UnionType}:
        return " or ".join(_kind(member, []) for member in arguments if member is not type(None))
    if get_origin(annotation) is list:
        return f"a list of: {_kind(arguments[0], [])}"
    if get_origin(annotation) is dict:
        return f"a table of: {_kind(arguments[1], [])}"
    return _PLAIN.get(annotation) or str(annotation.what)


_PLAIN = {str: "a text", int: "an integer", float: "a number", bool: "`true` or `false`"}


def main(arguments: list[str]) -> None:
    """Writes or checks the files; exits with 1 if the check fails."""
    match arguments:
        case ["--check", directory]:
            if old := stale(Path(directory)):
                sys.exit(f"out of date: {', '.join(map(str, old))}; run `make docs`")
        case [directory]:
            write(Path(directory))
        case _:
            sys.exit("usage: python -m evenly.config.reference [--check] DIRECTORY")


if __name__ == "__main__":
    main(sys.argv[1:])
