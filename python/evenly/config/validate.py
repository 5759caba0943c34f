"""From parsed TOML to `Settings`, or to every problem in it, each in the user's words and at the user's line.

pydantic finds the problems; this module says them. Its locations are places of the long form, apart from the tags of
unions (`<http>`), which nobody writes.
"""

import types
from collections.abc import Mapping
from datetime import date, time
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import Tag, ValidationError
from pydantic_core import ErrorDetails

from .auto_tls import written_out
from .problems import Place, key, nearest, quoted
from .schema import Acme, Names, Settings, Table
from .schema.table import alternatives, options

# Longer values are cut: a problem is one line.
_LONGEST_VALUE = 60

# What pydantic's own checks expect; the schema's say it themselves.
_TYPES = {
    "string_type": "a string", "int_type": "an integer", "float_type": "a number", "bool_type": "true or false",
    "list_type": "a list", "dict_type": "a table", "model_type": "a table", "model_attributes_type": "a table",
}  # fmt: skip


T = TypeVar("T", bound=Table)


def validate(data: Mapping[str, Any]) -> Settings | list[tuple[Place, str]]:
    """The settings, or the problems in file order of their tables: place and message."""
    meant = written_out(Settings.named(data))
    return validate_table(Settings, meant, _names(meant))


def validate_table(table: type[T], data: Any, names: Names | None = None) -> T | list[tuple[Place, str]]:  # noqa: ANN401
    """One table of the schema from parsed TOML or JSON, or its problems; `names` are what references may name."""
    try:
        return table.model_validate(data, context=names)
    except ValidationError as error:
        return [
            _describe(detail, table)
            for detail in error.errors(include_url=False)
            # Follows from another problem, which is in the list.
            if detail["type"] != "default_factory_not_called"
        ]


def _names(data: Mapping[str, Any]) -> Names:
    """What the file defines; parts that are not even tables define nothing and are reported where they stand."""
    pools, listeners, certificates = data.get("pools"), data.get("listeners"), data.get("certificates")
    return Names(
        frozenset(pools if isinstance(pools, dict) else ()),
        {
            name: str(listener.get("protocol", "http")) if isinstance(listener, dict) else "http"
            for name, listener in (listeners.items() if isinstance(listeners, dict) else ())
        },
        frozenset(certificates if isinstance(certificates, dict) else ()),
        _issuers(data.get("acme")),
    )


def _issuers(acme: object) -> frozenset[str]:
    issuers = acme.get("issuers") if isinstance(acme, dict) else None
    return frozenset(issuers) if isinstance(issuers, dict) else frozenset(Acme().issuers)


def _describe(detail: ErrorDetails, root: type[Table]) -> tuple[Place, str]:
    # Union tags are no part of what the user writes; nor is pydantic's mark for a problem with a key itself.
    place = tuple(step for step in detail["loc"] if step != "[key]" and not str(step).startswith("<"))
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "extra_forbidden":
        return place, _unknown_key(str(detail["loc"][-1]), _keys_at(detail["loc"][:-1], root))
    if kind == "missing":
        return place, "required key is missing"
    if kind == "refused":
        pointed = str(context["key"])
        return (*place, pointed) if pointed else place, str(context["message"])
    if kind == "expected":
        hint = f"; {context['hint']}" if context["hint"] else ""
        return place, f"expected {context['what']}, found {_shown(value)}{hint}"
    if kind == "literal_error":
        return place, _not_among(_literals_at(detail["loc"], root), value)
    return place, f"expected {_TYPES.get(kind) or _extent(kind, context)}, found {_shown(value)}"


def _extent(kind: str, context: Mapping[str, Any]) -> str:
    if kind in {"too_short", "string_too_short"}:
        return "at least one" if kind == "too_short" else "a text that is not empty"
    if kind == "too_long":
        return f"at most {context['max_length']:,} entries"
    if kind == "string_too_long":
        return f"at most {context['max_length']:,} characters"
    return f'a text that begins with "{context["pattern"].removeprefix("^")}"' if "pattern" in context else kind


def _unknown_key(name: str, known: list[str]) -> str:
    close = nearest(name, known)
    if close:
        return f"unknown key; did you mean `{close}`?"
    return f"unknown key; the keys here are {', '.join(map(key, known))}"


def _not_among(allowed: list[Any], value: object) -> str:
    words = [word for word in allowed if isinstance(word, str)]
    what = alternatives(words) if words else ", ".join(map(str, allowed))
    close = nearest(value, words) if isinstance(value, str) else None
    return f"expected {what}, found {_shown(value)}" + (f'; did you mean "{close}"?' if close else "")


def _shown(value: object) -> str:
    """A value as it stands in TOML, or what kind of value it is."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value if len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "…")
        case int():
            # Python refuses to write integers of more than 4,300 digits.
            return str(value) if value.bit_length() <= 256 else "a very large integer"
        case float():
            return str(value)
        case dict():
            return "a table" if value else "an empty table"
        case list():
            return "a list" if value else "an empty list"
        case date() | time():
            return f"the date or time {value.isoformat()}"
        case _:
            return type(value).__name__


def _keys_at(location: tuple[str | int, ...], root: type[Table]) -> list[str]:
    annotation = _annotation_at(location, root)
    return list(options(annotation)) if isinstance(annotation, type) and issubclass(annotation, Table) else []


def _literals_at(location: tuple[str | int, ...], root: type[Table]) -> list[Any]:
    return list(get_args(_annotation_at(location, root)))


def _annotation_at(location: tuple[str | int, ...], root: type[Table]) -> object:
    """The schema's type at a location: what stands there could have been any of its keys or words."""
    here: Any = root
    for step in location:
        here = _bare(here)
        if isinstance(step, str) and step.startswith("<"):
            here = next(member for member in get_args(here) if Tag(step) in get_args(member)[1:])
        elif isinstance(here, type) and issubclass(here, Table):
            here = options(here)[str(step)].annotation
        else:
            here = get_args(here)[-1]
    return _bare(here)


def _bare(annotation: Any) -> Any:  # noqa: ANN401 - typing has no type for its special forms
    """Without `Annotated[…]` and without `| None`."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in {Union, types.UnionType} and type(None) in get_args(annotation):
            members = [member for member in get_args(annotation) if member is not type(None)]
            if len(members) > 1:
                return Union[tuple(members)]  # noqa: UP007 - members are known at run time only
            annotation = members[0]
        else:
            return annotation
