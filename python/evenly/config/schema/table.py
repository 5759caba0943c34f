"""What every part of the schema is built from: tables, values written as text, bounds, and one way to say no.

A refused value raises `expected(…)`, so that every message reads "expected …, found …" and is put together in one place
(`validate.py`). Nothing is coerced: TOML has types, and `"5"` where an integer belongs is a mistake.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Table(BaseModel):
    """A TOML table: unknown keys are errors, values keep their types, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    heading: ClassVar[str] = ""
    """What it is, as the reference titles it."""
    where: ClassVar[str] = ""
    """Where it stands in a file: `[listeners.NAME]`."""
    example: ClassVar[str] = ""
    """A piece of TOML that shows it, for the reference; a test reads each of them."""


def options(table: type[Table]) -> dict[str, FieldInfo]:
    """A table's options under the names that the user writes; `from`, for one, cannot be a name in Python."""
    return {field.alias or name: field for name, field in table.model_fields.items()}


def expected(what: str, hint: str = "") -> PydanticCustomError:
    """The refusal of a value: what was expected instead, and perhaps why this one does not do."""
    return PydanticCustomError("expected", "expected {what}", {"what": what, "hint": hint})


def refused(message: str, key: str = "") -> PydanticCustomError:
    """The refusal of a combination of values, each of which would do by itself; `key` is the one to point at."""
    return PydanticCustomError("refused", "{message}", {"message": message, "key": key})


class Written(Protocol):
    """A type that is written as a text in the file; `str()` writes it back."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads it. Raises `ValueError`, whose message is a hint for the user and may be empty."""


W = TypeVar("W", bound=type[Written])


def written(what: str, pattern: str | None = None, unit: str = "") -> Callable[[W], W]:
    """Teaches pydantic to read a `Written` type.

    `what` completes "expected …" and is the type's line in the reference; `pattern` is a regular expression for
    editors; `unit` is how a bare number could be written with one.
    """

    def teach(cls: W) -> W:
        def read(value: object) -> object:
            if isinstance(value, cls):
                return value
            if not isinstance(value, str):
                bare = unit and isinstance(value, int | float) and not isinstance(value, bool)
                raise expected(what, f"a bare number has no unit; write {unit}" if bare else "")
            try:
                return cls.parse(value)
            except ValueError as error:
                raise expected(what, str(error)) from None

        def core(_: type, __: GetCoreSchemaHandler) -> CoreSchema:
            return core_schema.no_info_plain_validator_function(read, serialization=core_schema.to_string_ser_schema())

        def json(_: CoreSchema, __: GetJsonSchemaHandler) -> JsonSchemaValue:
            return {"type": "string", "description": what} | ({"pattern": pattern} if pattern else {})

        setattr(cls, "__get_pydantic_core_schema__", core)  # noqa: B010 - mypy knows no such attribute
        setattr(cls, "__get_pydantic_json_schema__", json)  # noqa: B010
        setattr(cls, "what", what)  # noqa: B010
        return cls

    return teach


@dataclass(frozen=True)
class Says:
    """What the reference says of a type whose check is a function of its own; completes "expected …"."""

    what: str


@dataclass(frozen=True)
class Matching:
    """A text that must match a regular expression as a whole."""

    pattern: str
    what: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"pattern": f"^{self.pattern}$"}

    def _check(self, value: str) -> str:
        if re.fullmatch(self.pattern, value) is None:
            raise expected(self.what)
        return value


@dataclass(frozen=True)
class Bounds:
    """Lowest and highest value, both allowed; works for every ordered type."""

    low: Any
    high: Any
    noun: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = handler(schema)
        if isinstance(self.low, int | float):
            described |= {"minimum": self.low, "maximum": self.high}
        return described

    def _check(self, value: Any) -> object:  # noqa: ANN401 - whatever type the bounds are of
        if not self.low <= value <= self.high:
            raise expected(str(self))
        return value

    def __str__(self) -> str:
        return f"{self.noun} from {self.low} to {self.high}"


def integer(low: int, high: int) -> Bounds:
    """Bounds of an integer."""
    return Bounds(low, high, "an integer")


def one_of(*words: str) -> BeforeValidator:
    """For a key that tells the members of a union of tables apart: names the words of all members, not just its own."""

    def check(value: object) -> object:
        if value not in words:
            raise expected(alternatives(words))
        return value

    return BeforeValidator(check, json_schema_input_type=Literal[words])


def alternatives(words: tuple[str, ...] | list[str]) -> str:
    """`"a", "b" or "c"`."""
    shown = [f'"{word}"' for word in words]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def widened(widen: Callable[[Any], object], short: Any, long: Any, what: str = "") -> BeforeValidator:  # noqa: ANN401
    """A short form: `widen` turns it into the long one and leaves everything else alone.

    `what` completes "expected …" where the long form is a table: what is neither is told of both.
    """
    return BeforeValidator(_table_or(what, widen) if what else widen, json_schema_input_type=short | long)


def table_like(what: str) -> BeforeValidator:
    """A table without a short form, where one is often taken for granted; `what` completes "expected …"."""
    return BeforeValidator(_table_or(what, lambda value: value))


def _table_or(what: str, widen: Callable[[Any], object]) -> Callable[[Any], object]:
    def read(value: object) -> object:
        widened = widen(value)
        if isinstance(widened, dict | BaseModel | None):
            return widened
        raise expected(what)

    return read


def listed(value: object) -> object:
    """The short form of a list with one element is the element."""
    return value if isinstance(value, list) else [value]
