"""What a route matches: hosts, paths, methods, and conditions on headers, cookies and query parameters."""

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from .table import Table, listed, refused, widened, written
from .words import HostPattern

Hosts = Annotated[list[HostPattern], widened(listed, HostPattern, list[HostPattern])]


@written('a path such as "/about", or a prefix such as "/api/*"', r"^/[^*?#\s]*\*?$")
@dataclass(frozen=True, order=True, slots=True)
class PathPattern:
    """A whole path, or a path's beginning."""

    kind: Literal["exact", "prefix"]
    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        if not text.startswith("/"):
            raise ValueError('a path begins with "/"')
        if "?" in text:
            raise ValueError("the query never takes part; conditions on it go into `query`")
        path = text.removesuffix("*")
        if "*" in path:
            raise ValueError('"*" stands at the end only; use `path_regex` for more')
        if re.fullmatch(r"[\x21-\x7e]+", path) is None or "#" in path:
            raise ValueError("other characters are percent-encoded")
        return cls("exact" if path == text else "prefix", path)

    def __str__(self) -> str:
        return self.text if self.kind == "exact" else f"{self.text}*"


class ValueCondition(Table):
    """A condition on a value. Short forms: `"text"` (exactly this), `true` (is there), `false` (is not there)."""

    heading: ClassVar[str] = "Value condition"
    where: ClassVar[str] = "[routes.headers], [routes.cookies], [routes.query]"
    example: ClassVar[str] = """
[[routes]]
headers = { X-Stage = "beta", X-Debug = true, X-Internal = false, User-Agent = { regex = ".*Firefox.*" } }
cookies = { plan = "gold" }
query = { version = { regex = "[23]" } }
pool = "app"
"""

    exact: str | None = Field(default=None, description="The value is exactly this text.")
    regex: str | None = Field(
        default=None,
        min_length=1,
        description="The whole value matches this regular expression (RE2 syntax: linear time, so no backreferences).",
    )
    present: bool | None = Field(
        default=None, description="`true`: it is there, whatever its value; `false`: it is not there."
    )

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.exact is not None) + (self.regex is not None) + (self.present is not None) != 1:
            raise refused("expected exactly one of `exact`, `regex` and `present`")
        return self


def _widen(value: object) -> object:
    if isinstance(value, str):
        return {"exact": value}
    return {"present": value} if isinstance(value, bool) else value


Condition = Annotated[ValueCondition, widened(_widen, str | bool, ValueCondition)]
