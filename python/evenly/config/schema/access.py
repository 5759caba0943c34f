"""Who may use a route or a listener: addresses, passwords, keys, and a service that is asked."""

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from .table import Bounds, Matching, Table, listed, refused, widened
from .units import Duration, Timeout, durations
from .words import FieldName, FilePath, Network, PoolName

Networks = Annotated[list[Network], widened(listed, Network, list[Network])]

# A colon ends a name in `Authorization: Basic` (RFC 7617), and in the files.
UserName = Annotated[
    str, Matching(r"[^\x00-\x1f\x7f:]{1,128}", "a name of at most 128 characters, without colons and controls")
]

_BCRYPT = r"\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}"
_ARGON2ID = r"\$argon2id\$v=19\$m=\d{1,6},t=\d{1,2},p=\d{1,2}\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}"
_HASH = 'a bcrypt ("$2b$…") or argon2id ("$argon2id$…") hash, as `evenly hash-password` makes it'
PasswordHash = Annotated[str, Matching(f"{_BCRYPT}|{_ARGON2ID}", _HASH)]
_KEY_HASH = "the SHA-256 of a key, 64 hexadecimal digits"
KeyHash = Annotated[str, Matching(r"[0-9A-Fa-f]{64}", _KEY_HASH)]

# Printable ASCII that needs no escape inside of quotes.
Realm = Annotated[str, Matching(r"[ !#-\[\]-~]{1,128}", "a text of printable ASCII without quotes and backslashes")]

_USER_HEADER = (
    "The field that tells the endpoint {whose} name. Fields of this name that clients send never reach it, however "
    "they are spelt (`-` and `_` count as the same)."
)


def password_hash_problem(text: str) -> str | None:
    """What was expected in place of `text` as a password's hash; `None` if it is one."""
    return None if re.fullmatch(f"{_BCRYPT}|{_ARGON2ID}", text) else f"expected {_HASH}"


def key_hash_problem(text: str) -> str | None:
    """What was expected in place of `text` as a key's hash; `None` if it is one."""
    return None if re.fullmatch(r"[0-9A-Fa-f]{64}", text) else f"expected {_KEY_HASH}"


def name_problem(text: str) -> str | None:
    """What was expected in place of `text` as a name; `None` if it is one."""
    return None if re.fullmatch(r"[^\x00-\x1f\x7f:]{1,128}", text) else "expected a name of at most 128 characters"


class RouteAccess(Table):
    """Client addresses that may come in; everyone else gets 403.

    The most specific network that holds an address decides, whichever list it is in; ten thousand networks cost as much
    as ten. An address in no network is allowed exactly if there is no `allow`. The address is the client's: behind
    `trusted_proxies` the forwarded one. IPv4 networks hold IPv4-mapped addresses too, and `::/0` is everyone.
    """

    heading: ClassVar[str] = "Route: access by address"
    where: ClassVar[str] = "[routes.access]"
    example: ClassVar[str] = """
[[routes]]
path = "/admin/*"
access = { allow = ["10.0.0.0/8", "2001:db8::/32"], deny = ["10.66.0.0/16"] }
pool = "app"
"""

    allow: Networks = Field(default=[], description="Networks that may come in.", examples=[["10.0.0.0/8"]])
    allow_file: FilePath | None = Field(
        default=None,
        description="More of them: a file with one network a line; what follows a `#` is a comment. Read with the "
        "configuration, and watched with it.",
        examples=["partners.txt"],
    )
    deny: Networks = Field(default=[], description="Networks that may not.", examples=[["192.0.2.0/24"]])
    deny_file: FilePath | None = Field(
        default=None, description="More of them, as in `allow_file`.", examples=["blocked.txt"]
    )

    @model_validator(mode="after")
    def _check_any(self) -> Self:
        if not (self.allow or self.deny or self.allow_file or self.deny_file):
            raise refused("expected at least one of `allow`, `allow_file`, `deny` and `deny_file`")
        return self


class BasicAuth(Table):
    """Names and passwords (`Authorization: Basic`, RFC 7617); without the right ones 401.

    Passwords are kept as hashes only. Verifying one takes some 50 ms by design, so it is done on one helper
    thread beside each worker, and what came of it is remembered for `cache`. At most 16 different passwords wait for a
    helper at once; beyond that requests get 503. Over connections without TLS passwords can be read on the way.
    """

    heading: ClassVar[str] = "Basic authentication"
    where: ClassVar[str] = "[routes.basic_auth]"
    example: ClassVar[str] = """
[[routes]]
path = "/staff/*"
pool = "app"

[routes.basic_auth]
realm = "Staff"
users = { ada = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe" }
"""

    realm: Realm = Field(default="Evenly", description="What browsers show when they ask for the password.")
    users_file: FilePath | None = Field(
        default=None,
        description="A file with one `name:hash` a line, as `htpasswd -B` writes it; read with the configuration, and "
        "watched with it.",
        examples=["users.htpasswd"],
    )
    users: dict[UserName, PasswordHash] = Field(
        default={}, description="Names with their hashes, beside those of the file.", examples=[{"ada": "$2b$12$…"}]
    )
    cache: Annotated[Duration, durations("0s", "24h")] = Field(
        default=Duration.parse("1m"),
        description="How long a password that was verified, right or wrong, is not verified again. "
        '`"0s"` verifies each time. A changed hash counts at once.',
    )
    user_header: FieldName = Field(default="X-Authenticated-User", description=_USER_HEADER.format(whose="the user's"))
    strip: bool = Field(default=False, description="Whether `Authorization` is kept from the endpoint.")

    @model_validator(mode="after")
    def _check_any(self) -> Self:
        if not self.users and self.users_file is None:
            raise refused("expected `users_file` or `users`: nobody could come in")
        return self


class ApiKeys(Table):
    """Keys of clients; without one 401, with a wrong one 403.

    Only SHA-256 hashes are kept, which is safe for keys of 128 random bits or more and for nothing else: use a
    generator (`openssl rand -hex 32`). Beside `basic_auth` either will do; a request with a key is judged by its key.
    """

    heading: ClassVar[str] = "API keys"
    where: ClassVar[str] = "[routes.api_keys]"
    example: ClassVar[str] = """
[[routes]]
path = "/api/*"
api_keys = { header = "X-Api-Key", file = "api-keys.txt", strip = true }
pool = "app"
"""

    header: FieldName | None = Field(
        default=None, description="The field that carries the key.", examples=["X-Api-Key"]
    )
    query: Annotated[str, Matching(r"[A-Za-z0-9_.~-]{1,64}", "a query parameter's name")] | None = Field(
        default=None,
        description="Instead of `header`: the query parameter that carries it. The access log hides its value.",
        examples=["api_key"],
    )
    file: FilePath | None = Field(
        default=None,
        description="A file with one `name:sha256` a line; read with the configuration, and watched with it.",
        examples=["api-keys.txt"],
    )
    keys: dict[UserName, KeyHash] = Field(
        default={},
        description="Names with the SHA-256 of their keys, beside those of the file.",
        examples=[{"ci": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}],
    )
    user_header: FieldName = Field(default="X-Authenticated-User", description=_USER_HEADER.format(whose="the key's"))
    strip: bool = Field(default=False, description="Whether the key is kept from the endpoint.")

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.header is None) == (self.query is None):
            raise refused("expected exactly one of `header` and `query`")
        if not self.keys and self.file is None:
            raise refused("expected `file` or `keys`: nobody could come in")
        return self


class ForwardAuth(Table):
    """A service that is asked whether a request may pass, after all else that the route asks for.

    It gets a GET of `path` without a body, with `X-Forwarded-Method`, `-Uri`, `-Host`, `-For` and `-Proto`,
    `X-Request-Id`, and `request_headers`. At 2xx the request passes, with `response_headers` of the answer; any other
    answer (status, fields, and a body of up to 64 KiB) goes to the client, so that redirections to a login work. The
    pool is one like any other: balanced, checked, with connections kept, its retries and `proxy_protocol` heeded; only
    its `affinity` and `queue` are not for questions. No answer within `timeout` is 503, unless `on_error` lets the
    request pass.
    """

    heading: ClassVar[str] = "Forward-auth"
    where: ClassVar[str] = "[routes.forward_auth]"
    example: ClassVar[str] = """
[pools.auth]
endpoints = ["10.0.0.9:4180"]

[[routes]]
host = "intranet.example.com"
forward_auth = { pool = "auth", path = "/verify", response_headers = ["X-User", "X-Groups"] }
pool = "app"
"""

    pool: PoolName = Field(description="The pool of the service.", examples=["auth"])
    path: Annotated[str, Matching(r"/[!\"$-~]*", 'a path such as "/verify"')] = Field(
        default="/", description="The target that it is asked for.", examples=["/verify"]
    )
    request_headers: Annotated[list[FieldName], widened(listed, str, list[str])] = Field(
        default=["Authorization", "Cookie"], description="Fields of the client's request that it gets."
    )
    response_headers: Annotated[list[FieldName], widened(listed, str, list[str])] = Field(
        default=[],
        description="Fields of its answer that the endpoint gets. Those that clients send under these names never "
        "reach the endpoint.",
        examples=[["X-User"]],
    )
    timeout: Annotated[Timeout, Bounds(Duration.parse("1ms"), Duration.parse("1m"), "a duration")] = Field(
        default=Duration.parse("5s"), description="For the whole exchange with it, all tries included."
    )
    on_error: Literal["deny", "allow"] = Field(
        default="deny", description="What happens to a request when the service gives no answer."
    )
