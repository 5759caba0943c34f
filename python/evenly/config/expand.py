"""The long form of a configuration, every default written out: what `evenly check --expand` prints.

Reading the expanded text again gives the same settings.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .problems import Place, dotted, key, quoted
from .schema import ACTIONS, FORWARDING_ONLY, Route, Settings, Table


def expand(settings: Settings) -> str:
    """TOML text in the long form. Options that are unset and have no default stand there as comments."""
    return "\n".join(_table((), settings, header="")) + "\n"


def _table(place: Place, table: Table, header: str) -> Iterator[str]:
    """A table's own keys, then the tables in it: in TOML a key after a table's header belongs to that table."""
    if header:
        yield from ("", header)
    values = dict(_shown_fields(table))
    for name, value in values.items():
        if value is None:
            yield f"# {name} is not set"
        elif not _stands_alone(value):
            yield f"{name} = {toml(value)}"
    for name, value in values.items():
        inner = (*place, name)
        if isinstance(value, Table):
            yield from _table(inner, value, f"[{dotted(inner)}]")
        elif isinstance(value, Mapping) and _stands_alone(value):
            for entry, table_value in value.items():
                yield from _table((*inner, entry), table_value, f"[{dotted((*inner, entry))}]")
        elif _stands_alone(value):
            for element in value:
                yield from _table(inner, element, f"[[{dotted(inner)}]]")


def _shown_fields(table: Table) -> Iterator[tuple[str, Any]]:
    for name, field in type(table).model_fields.items():
        # These are errors beside an action that forwards nothing.
        if isinstance(table, Route) and not table.forwards and name in FORWARDING_ONLY:
            continue
        # One action is set, which says that the others are not.
        if isinstance(table, Route) and name in ACTIONS and getattr(table, name) is None:
            continue
        yield field.alias or name, getattr(table, name)


def _stands_alone(value: object) -> bool:
    """Whether a value gets headers of its own. Endpoints and conditions are short and many: they stay in line."""
    if isinstance(value, Mapping):
        return any(
            isinstance(entry, Table) and len(type(entry).model_fields) > _INLINE_KEYS for entry in value.values()
        )
    if isinstance(value, list):
        return any(isinstance(entry, Route) for entry in value)
    return isinstance(value, Table)


# As many as a condition has.
_INLINE_KEYS = 3


def toml(value: object) -> str:
    """A value as it stands in TOML; tables in line, without what is unset."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case Table():
            return _inline({name: entry for name, entry in _shown_fields(value) if entry is not None})
        case Mapping():
            return _inline(value)
        case list():
            return _list(value)
        case _:
            return quoted(str(value))


def _inline(entries: Mapping[str, object]) -> str:
    return (
        "{ " + ", ".join(f"{key(name)} = {toml(value)}" for name, value in entries.items()) + " }" if entries else "{}"
    )


def _list(values: Sequence[object]) -> str:
    if any(isinstance(value, Table) for value in values):
        return "[\n" + "".join(f"  {toml(value)},\n" for value in values) + "]"
    return f"[{', '.join(map(toml, values))}]"
