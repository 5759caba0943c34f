"""Routes: match → action, with what changes on the way."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from .access import ApiKeys, BasicAuth, ForwardAuth, RouteAccess
from .affinity import AffinityCookieOrName
from .compression import Compression
from .experiment import Fault, Mirror
from .match import Condition, Hosts, PathPattern
from .retry import RetryOrAttempts
from .table import Matching, Table, integer, listed, one_of, refused, widened
from .units import Size, Timeout
from .words import CookieName, FieldName, FieldValue, ListenerName, Method, Name, PoolName

ACTIONS = ("pool", "split", "redirect", "respond")
# These change what goes to an endpoint; beside an action that asks none they would silently do nothing.
FORWARDING_ONLY = (
    "rewrite", "host_rewrite", "request_headers", "timeouts", "priority", "retry", "allow_connect", "allow_upgrade",
    "compression", "mirror", "fault",
)  # fmt: skip

_TEMPLATE = (
    "Variables: `{client_ip}`, `{host}`, `{path}`, `{query}`, `{uri}` (path and query), `{method}`, `{scheme}`, "
    "`{request_id}`, `{listener}`, `{header:NAME}`; `{{` and `}}` are literal braces."
)


class Redirect(Table):
    """An answer that sends the client elsewhere. Short form: just the location."""

    heading: ClassVar[str] = "Redirect"
    where: ClassVar[str] = "[routes.redirect]"
    example: ClassVar[str] = """
[[routes]]
host = "example.com"
redirect = { to = "https://www.example.com{uri}", status = 308 }
"""

    to: FieldValue = Field(min_length=1, description=f"The location. {_TEMPLATE}", examples=["https://{host}{uri}"])
    status: Literal[301, 302, 303, 307, 308] = Field(
        default=302,
        description=(
            "The status. Clients keep 301 and 308 for good, so that a mistake stays; hence 302 by itself. "
            "307 and 308 keep the method."
        ),
    )


RedirectOrLocation = Annotated[Redirect, widened(lambda v: {"to": v} if isinstance(v, str) else v, str, Redirect)]


class Respond(Table):
    """An answer of Evenly's own."""

    heading: ClassVar[str] = "Respond"
    where: ClassVar[str] = "[routes.respond]"
    example: ClassVar[str] = """
[[routes]]
path = "/robots.txt"
respond = { body = "User-agent: *\\nDisallow: /\\n" }
"""

    status: Annotated[int, integer(200, 599)] = Field(default=200, description="The status.")
    body: str = Field(default="", max_length=1 << 20, description="The body, sent as it stands.")
    content_type: FieldValue = Field(default="text/plain; charset=utf-8", description="Its `Content-Type`.")


class Rewrite(Table):
    """How the path changes before it is forwarded; the query stays. Either `prefix`, or `regex` with `replacement`."""

    heading: ClassVar[str] = "Path rewrite"
    where: ClassVar[str] = "[routes.rewrite]"
    example: ClassVar[str] = """
[[routes]]
path = "/shop/*"
rewrite = { prefix = "/" }
pool = "app"

[[routes]]
path_regex = "/users/[0-9]+/.*"
rewrite = { regex = "^/users/([0-9]+)/", replacement = "/u/$1/" }
pool = "app"
"""

    prefix: str | None = Field(
        default=None, pattern="^/", description="Replaces what `path` matched: the whole path, or the prefix."
    )
    regex: str | None = Field(
        default=None,
        min_length=1,
        description="A regular expression (RE2 syntax); its first match in the path is replaced.",
    )
    replacement: str | None = Field(
        default=None, description="What its match is replaced by; `$1` and `${name}` stand for groups."
    )

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.prefix is None) == (self.regex is None):
            raise refused("expected either `prefix`, or `regex` with `replacement`")
        if (self.regex is None) != (self.replacement is None):
            raise refused("`regex` and `replacement` go together")
        return self


class HostLiteral(Table):
    """A `Host` of the user's."""

    heading: ClassVar[str] = "Host rewrite"
    where: ClassVar[str] = '[routes] host_rewrite = { to = "…" }'

    to: FieldValue = Field(min_length=1, description="The `Host` that endpoints get.", examples=["app.internal"])


def _host_tag(value: object) -> str:
    return "<table>" if isinstance(value, dict | HostLiteral) else "<word>"


HostRewrite = Annotated[
    Annotated[Literal["preserve", "endpoint"], one_of("preserve", "endpoint"), Tag("<word>")]
    | Annotated[HostLiteral, Tag("<table>")],
    Discriminator(_host_tag),
]


CertificatePart = Annotated[str, Matching("(subject|san|fingerprint)", '"subject", "san" or "fingerprint"')]
FieldNames = Annotated[list[FieldName], widened(listed, str, list[str])]


class FieldRules(Table):
    """Changes to header fields, in the order remove, set, add."""

    heading: ClassVar[str] = "Header rules"
    where: ClassVar[str] = "[routes.request_headers], [routes.response_headers]"
    example: ClassVar[str] = """
[[routes]]
pool = "app"
request_headers = { set = { X-Client = "{client_ip}" }, remove = ["X-Debug"] }
response_headers = { add = { Cache-Control = ["private", "max-age=60"] }, remove = ["Server"] }
"""

    remove: FieldNames = Field(default=[], description="Names to remove.", examples=[["Server"]])
    set: dict[FieldName, FieldValue] = Field(
        default={},
        description=f"Fields that replace all of their name. {_TEMPLATE} A value of nothing but variables that "
        "the request lacks writes no field.",
        examples=[{"X-Client": "{client_ip}"}],
    )
    add: dict[FieldName, Annotated[list[FieldValue], widened(listed, str, list[str])]] = Field(
        default={}, description="Fields to append: a value, or a list for several fields. Variables as in `set`."
    )


class RouteTimeouts(Table):
    """Deadlines that replace the pool's."""

    heading: ClassVar[str] = "Route: timeouts"
    where: ClassVar[str] = "[routes.timeouts]"

    connect: Timeout | None = Field(default=None, description="As in the pool.")
    response: Timeout | None = Field(default=None, description="As in the pool.", examples=["5m"])
    request: Timeout | None = Field(default=None, description="As in the pool.")
    idle: Timeout | None = Field(default=None, description="As in the pool.")


class RouteLimits(Table):
    """Limits that replace the listener's."""

    heading: ClassVar[str] = "Route: limits"
    where: ClassVar[str] = "[routes.limits]"

    body: Size | None = Field(default=None, description="A request body; above it 413.", examples=["100MiB"])


class Route(Table):
    """Match → action. Routes are tried in file order and the first match wins; all conditions that are set must hold.

    Exactly one action: `pool`, `split`, `redirect` or `respond`. A file with no routes at all, an HTTP listener and
    exactly one pool sends every request to that pool, by a route named `default`.
    """

    heading: ClassVar[str] = "Route"
    where: ClassVar[str] = "[[routes]]"
    example: ClassVar[str] = """
[[routes]]
name = "api"
host = ["shop.example.com", "*.shop.example.com"]
path = "/api/*"
methods = ["GET", "POST"]
pool = "app"

[[routes]]
split = { stable = 95, canary = 5 }
split_affinity = "variant"
"""

    name: Name = Field(
        default_factory=str,
        description=(
            "Stands in metrics and logs. By itself `route-1`, `route-2`, … by place in the file; a name of "
            "your own stays when routes move."
        ),
    )
    listeners: Annotated[list[ListenerName], widened(listed, str, list[str])] | None = Field(
        default=None,
        min_length=1,
        description="The HTTP listeners it belongs to: a name or a list; by itself all.",
        examples=["web"],
    )
    host: Hosts | None = Field(
        default=None,
        min_length=1,
        description='A host or a list: exact, or `"*.example.com"` for every name below (not `example.com` itself). '
        "Ports and case never take part.",
        examples=["shop.example.com"],
    )
    path: PathPattern | None = Field(
        default=None,
        description=(
            'The whole path, or a prefix with a trailing `*`. A prefix is compared byte by byte: `"/api/*"` '
            'does not match `/api`, `"/api*"` also matches `/apis`.'
        ),
        examples=["/api/*"],
    )
    path_regex: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "Instead of `path`: a regular expression that matches the whole path (RE2 syntax: linear time, "
            "so no backreferences)."
        ),
        examples=["/item/[0-9]+"],
    )
    methods: Annotated[list[Method], widened(listed, str, list[str])] | None = Field(
        default=None,
        min_length=1,
        description="Upper-case methods; by itself any but CONNECT.",
        examples=[["GET", "HEAD"]],
    )
    headers: dict[FieldName, Condition] = Field(
        default={},
        description="Conditions on header fields; names compare without case.",
        examples=[{"X-Stage": "beta"}],
    )
    cookies: dict[CookieName, Condition] = Field(
        default={}, description="Conditions on cookies; names compare with case.", examples=[{"plan": "gold"}]
    )
    query: dict[str, Condition] = Field(
        default={},
        description="Conditions on query parameters, as they are written in the target (not decoded).",
        examples=[{"debug": True}],
    )
    client_certificate: dict[CertificatePart, Condition] = Field(
        default={},
        description="Conditions on the certificate that a client has shown (`client_ca` of the listener's `tls`): its "
        "`subject` as RFC 4514 writes it, any of its alternative names (`san`), and its `fingerprint` (SHA-256, as "
        "lower-case hexadecimal digits). `{ subject = true }` is any certificate.",
        examples=[{"san": "spiffe://example.com/billing"}],
    )
    ja4: Condition | None = Field(
        default=None,
        description="A condition on the fingerprint of the client's ClientHello (JA4), which tells kinds of software "
        "apart; clients can have any that they like.",
        examples=["t13d1516h2_8daaf6152771_e5627efa2ab1"],
    )
    pool: PoolName | None = Field(default=None, description="Action: forward to this pool.", examples=["app"])
    split: dict[PoolName, Annotated[int, integer(0, 1_000_000)]] | None = Field(
        default=None,
        min_length=1,
        description="Action: forward to one of several pools, by weight.",
        examples=[{"stable": 95, "canary": 5}],
    )
    split_affinity: AffinityCookieOrName | None = Field(
        default=None,
        description="Beside `split`: a cookie, named here, that keeps each client on the pool that was chosen for it, "
        "for as long as its weight is above 0. It tells nothing of the pool. Routes with one cookie share the choice.",
        examples=["variant"],
    )
    redirect: RedirectOrLocation | None = Field(
        default=None, description="Action: answer with a redirection.", examples=["https://{host}{uri}"]
    )
    respond: Respond | None = Field(
        default=None, description="Action: answer with fixed content.", examples=[{"status": 200, "body": "ok"}]
    )
    rewrite: Rewrite | None = Field(
        default=None, description="How the path changes before it is forwarded.", examples=[{"prefix": "/"}]
    )
    host_rewrite: HostRewrite = Field(
        default="preserve",
        description=(
            '`Host` towards the endpoint: as the client sent it, the `"endpoint"`\'s address, or `{ to = "…" }`.'
        ),
    )
    request_headers: FieldRules = Field(default=FieldRules(), description="Rules on the request's header fields.")
    response_headers: FieldRules = Field(
        default=FieldRules(),
        description="Rules on the header fields of responses, `respond` and `redirect` included. Evenly's own errors "
        "are without.",
    )
    access: RouteAccess | None = Field(
        default=None,
        description="Client addresses that may use it; unset is all.",
        examples=[{"allow": ["10.0.0.0/8"]}],
    )
    basic_auth: BasicAuth | None = Field(
        default=None,
        description="Names and passwords; unset asks for none.",
        examples=[{"realm": "Staff", "users_file": "users.htpasswd"}],
    )
    api_keys: ApiKeys | None = Field(
        default=None,
        description="Keys of clients; unset asks for none.",
        examples=[{"header": "X-Api-Key", "file": "api-keys.txt"}],
    )
    forward_auth: ForwardAuth | None = Field(
        default=None,
        description="A service that is asked whether a request may pass; unset asks none.",
        examples=[{"pool": "auth", "path": "/verify"}],
    )
    compression: Compression | None = Field(
        default=None,
        description="How responses are compressed, in place of the listener's way; unset is as the listener says.",
        examples=[{"algorithms": ["gzip"], "level": "best"}],
    )
    timeouts: RouteTimeouts = Field(default=RouteTimeouts(), description="Deadlines that replace the pool's.")
    priority: Literal["high", "normal", "low"] = Field(
        default="normal", description="Whose turn comes first in a pool's queue."
    )
    retry: RetryOrAttempts | None = Field(
        default=None,
        description="When a request is tried again. Replaces the pool's `retry` as a whole; the budget is the pool's.",
        examples=[1],
    )
    limits: RouteLimits = Field(default=RouteLimits(), description="Limits that replace the listener's.")
    allow_connect: bool = Field(
        default=False,
        description="Whether CONNECT may match; its tunnel goes to the pool's endpoint, not to the target named.",
    )
    allow_upgrade: bool = Field(default=True, description="Whether `Upgrade` (WebSocket) is passed on.")
    early_data: bool = Field(
        default=False,
        description="Whether requests are done at once that came in early data (0-RTT), before the client's TLS "
        "handshake is over: GET, HEAD and OPTIONS without a body. Whoever holds up packets can have them done twice, "
        "so only where that does no harm. All others wait for the end of the handshake.",
    )
    mirror: Mirror | None = Field(
        default=None,
        description="Where copies of requests go, besides the action.",
        examples=[{"pool": "shadow", "share": "10%"}],
    )
    fault: Fault | None = Field(
        default=None,
        description="What goes wrong on purpose.",
        examples=[{"delay": "200ms", "delay_share": "10%", "abort": 503, "abort_share": "1%"}],
    )

    @property
    def forwards(self) -> bool:
        """Whether requests go to a pool."""
        return self.pool is not None or self.split is not None

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        actions = [name for name in ACTIONS if getattr(self, name) is not None]
        if len(actions) != 1:
            found = " and ".join(f"`{name}`" for name in actions) or "none"
            raise refused(f"expected exactly one action (`pool`, `split`, `redirect` or `respond`), found {found}")
        if self.path is not None and self.path_regex is not None:
            raise refused("goes instead of `path`, not beside it", "path_regex")
        idle = [name for name in FORWARDING_ONLY if name in self.model_fields_set]
        if idle and not self.forwards:
            raise refused(f"has no effect beside `{actions[0]}`: nothing is forwarded", idle[0])
        if self.rewrite is not None and self.rewrite.prefix is not None and self.path is None:
            raise refused("`prefix` replaces what `path` matched, and this route has no `path`", "rewrite")
        if "CONNECT" in (self.methods or []) and not self.allow_connect:
            raise refused("CONNECT needs `allow_connect = true`", "methods")
        if self.split_affinity is not None and self.split is None:
            raise refused("goes beside `split`", "split_affinity")
        if self.split is not None and not any(self.split.values()):
            raise refused("at least one weight must be above 0", "split")
        return self


def name_by_place(routes: object) -> object:
    """Gives routes without a name one by their place in the file; anything that is not a list of tables stays."""
    if not isinstance(routes, list):
        return routes
    return [
        {"name": f"route-{number}"} | route if isinstance(route, dict) else route
        for number, route in enumerate(routes, start=1)
    ]
