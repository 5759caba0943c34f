"""The parts of the document that say who may come in, and how responses are compressed; see `document.py`."""

from __future__ import annotations

from typing import Any

from .access_files import AccessFiles
from .at import At, ms
from .schema import Route
from .schema.access import ApiKeys, BasicAuth, ForwardAuth, RouteAccess
from .schema.compression import Compression
from .schema.words import Network


def guard(route: Route, files: AccessFiles) -> At:
    """What a route asks for; `null` if nothing."""
    parts = {
        "access": access(route.access, files),
        "basic_auth": route.basic_auth and _basic_auth(route.basic_auth, files),
        "api_keys": route.api_keys and _api_keys(route.api_keys, files),
        "forward_auth": route.forward_auth and _forward_auth(route.forward_auth),
    }
    return At((), parts if any(parts.values()) else None)


def access(table: RouteAccess | None, files: AccessFiles) -> dict[str, Any] | None:
    """Both lists, each with the networks of its file behind it."""
    if table is None:
        return None
    return {
        "allow": _networks("allow", table.allow, files.networks.get(table.allow_file or "")),
        "deny": _networks("deny", table.deny, files.networks.get(table.deny_file or "")),
    }


def compression(table: Compression | None) -> dict[str, Any] | None:
    """As the packet path reads it."""
    if table is None:
        return None
    return {
        "algorithms": table.algorithms,
        "types": table.types,
        "min_bytes": At(("min_size",), table.min_size.bytes),
        "level": table.level,
    }


def _networks(option: str, own: list[Network], of_file: list[str] | None) -> At:
    # A place behind the option's own networks is one of the file, whose option stands beside it.
    listed: list[Any] = [At((option, index), str(network)) for index, network in enumerate(own)]
    return At((), listed + [At((f"{option}_file",), str(Network.parse(text))) for text in of_file or []])


def _basic_auth(table: BasicAuth, files: AccessFiles) -> dict[str, Any]:
    users = [At(("users", name), [At((), name), At((), text)]) for name, text in table.users.items()]
    users += [
        At(("users_file",), [At((), name), At((), text)]) for name, text in files.users.get(table.users_file or "", [])
    ]
    return {
        "realm": table.realm,
        "users": At((), users),
        "cache_ms": ms("cache", table.cache),
        "user_header": table.user_header,
        "strip": table.strip,
    }


def _api_keys(table: ApiKeys, files: AccessFiles) -> dict[str, Any]:
    keys = [At(("keys", name), [At((), name), At((), text)]) for name, text in table.keys.items()]
    keys += [At(("file",), [At((), name), At((), text)]) for name, text in files.keys.get(table.file or "", [])]
    option = "header" if table.header is not None else "query"
    return {
        "source": At((), {"type": At((option,), option), "name": At((option,), table.header or table.query)}),
        "keys": At((), keys),
        "user_header": table.user_header,
        "strip": table.strip,
    }


def _forward_auth(table: ForwardAuth) -> dict[str, Any]:
    return {
        "pool": table.pool,
        "path": table.path,
        "request_headers": table.request_headers,
        "response_headers": table.response_headers,
        "timeout_ms": ms("timeout", table.timeout),
        "on_error": table.on_error,
    }
