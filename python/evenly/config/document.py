"""The JSON document that the packet path gets; `crates/core/src/document/` defines it, field by field.

Rust refuses a missing or unknown field, so this module writes every field and nothing else. Where a field has another
name or place than the user's option, `At` says which option it came from. A refusal by Rust names a place in the
document; `Document.problem` leads it back to the user's line along the same tree.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from . import access_document as admitting
from . import pool_document as pooling
from . import tls_document as securing
from .access_files import AccessFiles
from .at import At, ms
from .found import NOTHING, Found, members
from .front_routes import NO_ANSWERS, Answers, front_routes
from .load import Source
from .problems import Place, Problem
from .resolve import Resolved
from .schema import (
    Fault,
    FieldRules,
    HostLiteral,
    HttpListener,
    HttpTimeouts,
    Limits,
    Listener,
    Mirror,
    Percent,
    ProxyProtocol,
    Rewrite,
    Route,
    StreamTimeouts,
    TcpListener,
    UdpListener,
    ValueCondition,
)  # fmt: skip

# The options of HTTP listeners that a TCP listener's part of the document has too, where they have no effect.
_UNUSED_TIMEOUTS = HttpTimeouts()
_UNUSED_STREAM_TIMEOUTS = StreamTimeouts()
_UNUSED_LIMITS = Limits()
# There is no queue of datagrams that a listener could set, but for the kernel's own.
_UNUSED_BACKLOG = 1


@dataclass(frozen=True)
class Document:
    """The document's text, and the way back from it to the file."""

    text: str
    source: Source
    _tree: Mapping[str, Any]
    _parts: Mapping[str, str]
    """The text of each of the tree's keys."""

    def with_found(self, resolved: Resolved, found: Found) -> "Document":
        """The same with other endpoints from discovery; what they do not change is not written anew."""
        kept = {name: part for name, part in self._parts.items() if name != "pools"}
        return _written({**self._tree, "pools": _pools(resolved, found)}, self.source, kept)

    def with_answers(self, resolved: Resolved, answers: Answers) -> "Document":
        """The same with these answers to issuers; what they do not change is not written anew."""
        changed = {
            "listeners": _listeners(resolved, answers),
            "routes": _routes(resolved, answers),
            "certificates": securing.certificates(resolved, answers),
            "challenges": securing.challenges(answers),
            "staples": securing.staples(resolved, answers),
        }
        kept = {name: part for name, part in self._parts.items() if name not in changed}
        return _written({**self._tree, **changed}, self.source, kept)

    def differing(self, other: Self) -> set[str]:
        """The keys of the document whose values are others there."""
        names = self._parts.keys() | other._parts.keys()
        return {name for name in names if self._parts.get(name) != other._parts.get(name)}

    def problem(self, path: str, message: str) -> Problem:
        """What Rust says about a place in the document, at the user's own place and line."""
        return self.source.problem(self.place(path), message)

    def place(self, path: str) -> Place:
        """The option that a place in the document ("pools[0].endpoints[1].address") comes from."""
        place: Place = ()
        here: Any = self._tree
        for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
            step = int(index) if index else name
            try:
                here = here[step]
            except (KeyError, IndexError, TypeError):
                break
            if isinstance(here, At):
                place, here = (*place, *here.place), here.value
            else:
                place = (*place, step)
        return place


def document(resolved: Resolved, found: Found = NOTHING, answers: Answers = NO_ANSWERS) -> Document:
    """Writes the document. The same configuration gives the same text, byte for byte.

    `found` is what discovery has found, by pool; `answers` is what issuers are told.
    """
    settings = resolved.settings
    log = settings.access_log
    tree = {
        "workers": resolved.workers,
        "max_connections": resolved.max_connections,
        "zone": At(("node", "zone"), resolved.zone),
        "listeners": _listeners(resolved, answers),
        "pools": _pools(resolved, found),
        "routes": _routes(resolved, answers),
        "certificates": securing.certificates(resolved, answers),
        "challenges": securing.challenges(answers),
        "staples": securing.staples(resolved, answers),
        "session_tickets": securing.session_tickets(resolved),
        "affinity": _affinity_secrets(resolved),
        "error_pages": {
            str(status): {"content_type": page.content_type, "body": page.body}
            for status, page in sorted(resolved.error_pages.items())
        },
        "access_log": log
        and {"path": resolved.access_log_path, "format": log.format, "ring_bytes": At(("ring",), log.ring.bytes)},
    }
    return _written(tree, resolved.loaded.source, {})


def _written(tree: Mapping[str, Any], source: Source, parts: Mapping[str, str]) -> Document:
    """A document of this tree; `parts` are the texts of those of its keys that have been written already."""

    def text_of(value: object) -> str:
        return json.dumps(value, default=lambda at: at.value, ensure_ascii=False, separators=(",", ":"))

    parts = {name: parts[name] if name in parts else text_of(value) for name, value in tree.items()}
    text = f"{{{','.join(f'{text_of(name)}:{part}' for name, part in parts.items())}}}"
    return Document(text, source, tree, parts)


def _pools(resolved: Resolved, found: Found) -> list[At]:
    pools = resolved.settings.pools
    return [
        At((name,), pooling.pool(name, pool, members(resolved, found, name), resolved.authorities.pools.get(name)))
        for name, pool in pools.items()
    ]


def _routes(resolved: Resolved, answers: Answers) -> list[At]:
    # Those of the file keep their places, whatever comes before them.
    first = [At((), _route(route, resolved.files)) for route in front_routes(resolved.settings, answers)]
    return [
        *first,
        *(At((index,), _route(route, resolved.files)) for index, route in enumerate(resolved.settings.routes)),
    ]


def _listeners(resolved: Resolved, answers: Answers) -> list[At]:
    listeners = resolved.settings.listeners
    return [At((name,), _listener(name, listener, resolved, answers)) for name, listener in listeners.items()]


def _listener(name: str, listener: Listener, resolved: Resolved, answers: Answers) -> dict[str, Any]:
    http = listener if isinstance(listener, HttpListener) else None
    udp = listener if isinstance(listener, UdpListener) else None
    request = http.timeouts if http else _UNUSED_TIMEOUTS
    # Datagrams have one deadline only.
    stream = _UNUSED_STREAM_TIMEOUTS if isinstance(listener, UdpListener) else listener.timeouts
    return {
        "name": At((), name),
        "bind": [str(address) for address in listener.bind],
        "protocol": listener.protocol,
        "pool": None if isinstance(listener, HttpListener) else listener.pool,
        "max_connections": (
            At(("max_sessions",), listener.max_sessions)
            if isinstance(listener, UdpListener)
            else listener.max_connections
        ),
        "backlog": _UNUSED_BACKLOG if isinstance(listener, UdpListener) else listener.backlog,
        "timeouts": {
            "header_ms": ms("header", stream.header),
            "body_ms": ms("body", request.body),
            "idle_ms": ms("idle", listener.timeouts.idle),
            "send_ms": ms("send", stream.send),
            "half_close_ms": ms("half_close", stream.half_close),
        },
        "limits": _limits(http.limits if http else _UNUSED_LIMITS),
        "trusted_proxies": [str(network) for network in http.trusted_proxies] if http else [],
        "forwarded": http.forwarded if http else False,
        "proxy_protocol": None if isinstance(listener, UdpListener) else _proxy_protocol(listener.proxy_protocol),
        "tls": None if isinstance(listener, UdpListener) else securing.termination(name, listener, resolved, answers),
        "http2": http.http2 if http else False,
        "http3": http.http3 if http else False,
        "access": At((), _access(listener)),
        "tls_routes": At(("routes",), _tls_routes(listener) if isinstance(listener, TcpListener) else []),
        "sessions": udp and At((), {"responses": udp.responses}),
        "compression": admitting.compression(listener.compression) if isinstance(listener, HttpListener) else None,
    }


def _proxy_protocol(options: ProxyProtocol | None) -> dict[str, Any] | None:
    return (
        options if options is None else {"from": [str(network) for network in options.from_], "others": options.others}
    )


def _access(listener: Listener) -> dict[str, Any]:
    networks = [str(network) for network in listener.deny]
    if isinstance(listener, UdpListener):
        limit = At(("max_sessions_per_client",), listener.max_sessions_per_client)
        return {"deny": networks, "max_per_client": limit, "on_deny": "drop"}
    limit = At(("max_connections_per_client",), listener.max_connections_per_client)
    return {"deny": networks, "max_per_client": limit, "on_deny": listener.on_deny}


def _tls_routes(listener: TcpListener) -> list[dict[str, Any]]:
    return [
        {"sni": route.sni and [str(name) for name in route.sni], "alpn": route.alpn, "pool": route.pool}
        for route in listener.routes
    ]


def _limits(limits: Limits) -> dict[str, Any]:
    return {
        "head_bytes": At(("head",), limits.head.bytes),
        "headers": limits.headers,
        "target_bytes": At(("target",), limits.target.bytes),
        "streams": limits.streams,
        "body_bytes": At(("body",), limits.body and limits.body.bytes),
        "min_rate": limits.min_rate.bytes_per_second,
        "min_rate_grace_ms": ms("min_rate_grace", limits.min_rate_grace),
    }


def _affinity_secrets(resolved: Resolved) -> dict[str, Any]:
    secrets = resolved.affinity_secrets
    return {
        "secret": At(("secret_file",), secrets.current),
        "previous_secret": At(("previous_secret_file",), secrets.previous),
    }


def _route(route: Route, files: AccessFiles) -> dict[str, Any]:
    return {
        "name": route.name,
        "listeners": route.listeners,
        "hosts": At(("host",), route.host and [str(host) for host in route.host]),
        "path": _path(route),
        "methods": route.methods,
        "headers": _conditions(route.headers),
        "cookies": _conditions(route.cookies),
        "query": _conditions(route.query),
        "tls": At((), _tls_conditions(route)),
        "action": At((), _action(route)),
        "rewrite": route.rewrite and _rewrite(route.rewrite),
        "host_rewrite": (
            {"type": At((), "literal"), "value": At(("to",), route.host_rewrite.to)}
            if isinstance(route.host_rewrite, HostLiteral)
            else {"type": At((), route.host_rewrite)}
        ),
        "request_headers": _field_rules(route.request_headers),
        "response_headers": _field_rules(route.response_headers),
        "timeouts": {
            "connect_ms": ms("connect", route.timeouts.connect),
            "response_ms": ms("response", route.timeouts.response),
            "request_ms": ms("request", route.timeouts.request),
            "idle_ms": ms("idle", route.timeouts.idle),
        },
        "priority": route.priority,
        "retry": route.retry and pooling.retries(route.retry),
        "body_bytes": At(("limits", "body"), route.limits.body and route.limits.body.bytes),
        "allow_connect": route.allow_connect,
        "allow_upgrade": route.allow_upgrade,
        "early_data": route.early_data,
        "guard": admitting.guard(route, files),
        "compression": admitting.compression(route.compression),
        "fault": route.fault and _fault(route.fault),
        "mirror": route.mirror and _mirror(route.mirror),
    }


def _percent(share: Percent | None) -> int:
    return 100 if share is None else share.percent


def _mirror(mirror: Mirror) -> dict[str, Any]:
    return {
        "pool": mirror.pool,
        "percent": At(("share",), mirror.share.percent),
        "body_bytes": At(("body",), mirror.body.bytes),
        "in_flight": At(("max_in_flight",), mirror.max_in_flight),
        "timeout_ms": ms("timeout", mirror.timeout),
        "compare": mirror.compare,
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "delay_ms": ms("delay", fault.delay),
        "delay_percent": At(("delay_share",), _percent(fault.delay_share)),
        "abort": fault.abort,
        "abort_percent": At(("abort_share",), _percent(fault.abort_share)),
        "headers": _conditions(fault.headers),
    }


def _path(route: Route) -> object:
    if route.path_regex is not None:
        return At(("path_regex",), {"kind": At((), "regex"), "value": At((), route.path_regex)})
    return route.path and {"kind": At((), route.path.kind), "value": At((), route.path.text)}


def _conditions(conditions: Mapping[str, ValueCondition]) -> list[Any]:
    return [
        At((name,), {"name": At((), name), "value": At((), _condition(value))}) for name, value in conditions.items()
    ]


def _tls_conditions(route: Route) -> list[At]:
    certificate = [
        At(("client_certificate", name), {"name": At((), name), "value": At((), _condition(value))})
        for name, value in route.client_certificate.items()
    ]
    ja4 = route.ja4
    return [
        *certificate,
        *([] if ja4 is None else [At(("ja4",), {"name": At((), "ja4"), "value": At((), _condition(ja4))})]),
    ]


def _condition(condition: ValueCondition) -> dict[str, Any]:
    if condition.exact is not None:
        return {"kind": At((), "exact"), "value": At(("exact",), condition.exact)}
    if condition.regex is not None:
        return {"kind": At((), "regex"), "value": At(("regex",), condition.regex)}
    return {"kind": At((), "present" if condition.present else "absent")}


def _action(route: Route) -> dict[str, Any]:
    if route.split is not None:
        pools = [At((name,), [At((), name), At((), weight)]) for name, weight in route.split.items()]
        cookie = route.split_affinity and pooling.affinity_cookie(route.split_affinity)
        return {"type": At((), "split"), "pools": At(("split",), pools), "affinity": At(("split_affinity",), cookie)}
    if route.redirect is not None:
        return {
            "type": At((), "redirect"),
            "location": At(("redirect", "to"), route.redirect.to),
            "status": At(("redirect", "status"), route.redirect.status),
        }
    if route.respond is not None:
        return {"type": At((), "respond")} | {
            name: At(("respond", name), getattr(route.respond, name)) for name in ("status", "content_type", "body")
        }
    return {"type": At((), "pool"), "pool": route.pool}


def _rewrite(rewrite: Rewrite) -> dict[str, Any]:
    if rewrite.prefix is not None:
        return {"type": At((), "prefix"), "replacement": At(("prefix",), rewrite.prefix)}
    return {"type": At((), "regex"), "pattern": At(("regex",), rewrite.regex), "replacement": rewrite.replacement}


def _field_rules(rules: FieldRules) -> dict[str, Any]:
    return {
        "remove": rules.remove,
        "set": [At((name,), [At((), name), At((), value)]) for name, value in rules.set.items()],
        "add": [
            At((name,), [At((), name), At((index,), value)])
            for name, values in rules.add.items()
            for index, value in enumerate(values)
        ],
    }
