"""What no table can see by itself: two listeners on one address, two routes of one name, a request nobody takes."""

from collections.abc import Iterator

from . import acme_checks
from .problems import Place, dotted, key
from .schema import HttpListener, Listener, Settings, TcpListener, UdpListener

_FOR_REQUESTS = {
    "queue": "is not held in a queue",
    "hedge": "cannot be sent twice",
    "adaptive_concurrency": "has no response time",
}


def problems(settings: Settings) -> Iterator[tuple[Place, str]]:
    """Everything that does not fit together, in file order of its tables: place and message."""
    yield from _shared_addresses(settings)
    yield from _streams_hashed_by_requests(settings)
    yield from _shared_names(settings)
    yield from _requests_with_nowhere_to_go(settings)
    yield from _circles_of_fallbacks(settings)
    yield from _copies_with_an_introduction(settings)
    yield from _tls_over_datagrams(settings)
    yield from acme_checks.problems(settings)


def warnings(settings: Settings) -> Iterator[tuple[Place, str]]:
    """What is allowed, but hardly meant."""
    used = {pool for listener in settings.listeners.values() for _, pool in _pools(listener)}
    reached: set[str] = set()
    for route in settings.routes:
        used |= {route.forward_auth.pool} if route.forward_auth is not None else set()
        used |= {route.pool} if route.pool is not None else set(route.split or {})
        used |= set() if route.mirror is None else {route.mirror.pool}
        reached |= set(settings.listeners if route.listeners is None else route.listeners)
    used |= {pool.fallback for pool in settings.pools.values() if pool.fallback is not None}
    for name in settings.pools:
        if name not in used:
            yield ("pools", name), "no route, no listener and no other pool uses this pool"
    shown = {
        name
        for listener in settings.listeners.values()
        if not isinstance(listener, UdpListener) and listener.tls is not None
        for name in listener.tls.certificates
    }
    shown |= {
        pool.tls.client_certificate for pool in settings.pools.values() if pool.tls and pool.tls.client_certificate
    }
    for name in settings.certificates:
        if name not in shown:
            yield ("certificates", name), "no listener shows this certificate"
    asking = {
        name
        for name, listener in settings.listeners.items()
        if isinstance(listener, HttpListener) and listener.tls is not None and listener.tls.client_ca is not None
    }
    for index, route in enumerate(settings.routes):
        if route.client_certificate and not asking & set(route.listeners or settings.listeners):
            message = "no listener of this route asks for certificates (`client_ca`), so they have none"
            yield ("routes", index, "client_certificate"), message
    yield from _rewrites_within_a_segment(settings)
    for name, pool in settings.pools.items():
        if pool.tls is not None and not pool.tls.verify:
            message = "anybody on the way can read and change what is sent to these endpoints"
            yield ("pools", name, "tls", "verify"), message
    for name, listener in settings.listeners.items():
        if isinstance(listener, HttpListener) and listener.redirect_https is None and name not in reached:
            yield ("listeners", name), "no route belongs to this listener: every request is answered 404"


def _rewrites_within_a_segment(settings: Settings) -> Iterator[tuple[Place, str]]:
    for index, route in enumerate(settings.routes):
        is_rewritten = route.rewrite is not None and route.rewrite.prefix is not None
        path = route.path
        if is_rewritten and path is not None and path.kind == "prefix" and not path.text.endswith("/"):
            message = (
                f'"{path}" also matches "{path.text}-x" and "{path.text}..": write "{path.text}/*", '
                f'and another route for "{path.text}" if that is meant, too'
            )
            yield ("routes", index, "rewrite", "prefix"), message


def _shared_addresses(settings: Settings) -> Iterator[tuple[Place, str]]:
    seen: dict[tuple[str, bool], Place] = {}
    for name, listener in settings.listeners.items():
        # Ports of UDP are others than those of TCP; HTTP/3 takes both.
        is_udp = isinstance(listener, UdpListener)
        kinds = [is_udp, True] if isinstance(listener, HttpListener) and listener.http3 else [is_udp]
        for index, address in enumerate(listener.bind):
            place: Place = ("listeners", name, "bind", index)
            # Port 0 is a new port each time.
            others = [seen.setdefault((str(address), kind), place) for kind in kinds if address.port]
            for other in others:
                if other != place:
                    yield place, f"{address} is already bound by {dotted(other)}"


def _streams_hashed_by_requests(settings: Settings) -> Iterator[tuple[Place, str]]:
    for name, listener in settings.listeners.items():
        what = "datagram" if isinstance(listener, UdpListener) else "TCP connection"
        for place, pool in _pools(listener):
            hash_key = settings.pools[pool].hash_key
            if hash_key is not None and hash_key.source != "client_ip":
                message = f'pools.{key(pool)} hashes "{hash_key}", which a {what} does not have'
                yield ("listeners", name, *place), message
            for option, why in _FOR_REQUESTS.items():
                if getattr(settings.pools[pool], option) is not None:
                    message = f"pools.{key(pool)} has `{option}`, which is for requests: a {what} {why}"
                    yield ("listeners", name, *place), message
            if isinstance(listener, UdpListener) and settings.pools[pool].proxy_protocol == "v1":
                message = f'pools.{key(pool)} has proxy_protocol = "v1", which is not made for datagrams; use "v2"'
                yield ("listeners", name, *place), message
            protocol = settings.pools[pool].protocol
            if protocol != "http1":
                has = f'pools.{key(pool)} has protocol = "{protocol}"'
                message = f"{has}, which is for routes; a {what} is passed on as it is"
                yield ("listeners", name, *place), message
            if isinstance(listener, UdpListener) and settings.pools[pool].fallback is not None:
                message = f"pools.{key(pool)} has a `fallback`, which is for requests and TCP connections only"
                yield ("listeners", name, *place), message


def _pools(listener: Listener) -> Iterator[tuple[Place, str]]:
    """The pools that a listener names itself: place in it, and name."""
    if isinstance(listener, TcpListener):
        for index, route in enumerate(listener.routes):
            yield ("routes", index, "pool"), route.pool
    if not isinstance(listener, HttpListener) and listener.pool is not None:
        yield ("pool",), listener.pool


def _shared_names(settings: Settings) -> Iterator[tuple[Place, str]]:
    seen: dict[str, int] = {}
    for index, route in enumerate(settings.routes):
        first = seen.setdefault(route.name, index)
        if first != index:
            yield ("routes", index, "name"), f'routes[{first}] is already called "{route.name}"'


def _copies_with_an_introduction(settings: Settings) -> Iterator[tuple[Place, str]]:
    for index, route in enumerate(settings.routes):
        for option in ("proxy_protocol", "source_address"):
            if route.mirror is not None and getattr(settings.pools[route.mirror.pool], option) is not None:
                message = f"its `{option}` has no place before copies, which share their connections"
                yield ("routes", index, "mirror", "pool"), f"pools.{key(route.mirror.pool)}: {message}"


def _tls_over_datagrams(settings: Settings) -> Iterator[tuple[Place, str]]:
    for name, listener in settings.listeners.items():
        if isinstance(listener, UdpListener) and settings.pools[listener.pool].tls is not None:
            message = f"pools.{key(listener.pool)} has `tls`, which is not spoken over datagrams"
            yield ("listeners", name, "pool"), message


def _circles_of_fallbacks(settings: Settings) -> Iterator[tuple[Place, str]]:
    for start, pool in settings.pools.items():
        passed = [start]
        here = pool.fallback
        while here is not None and here not in passed:
            passed.append(here)
            here = settings.pools[here].fallback
        if here == start:
            yield ("pools", start, "fallback"), f"leads back to this pool: {' → '.join([*passed, start])}"


def _requests_with_nowhere_to_go(settings: Settings) -> Iterator[tuple[Place, str]]:
    http = [name for name, listener in settings.listeners.items() if isinstance(listener, HttpListener)]
    redirected = [name for name in http if getattr(settings.listeners[name], "redirect_https", None) is not None]
    if http and not settings.routes and len(redirected) < len(http):
        found = f"{len(settings.pools)} pools" if settings.pools else "no pool"
        yield (
            ("listeners", http[0]),
            f"its requests have nowhere to go: add [[routes]], or exactly one pool (found {found})",
        )
    if settings.routes and not http:
        yield ("routes",), "routes are for requests, and there is no HTTP listener"
