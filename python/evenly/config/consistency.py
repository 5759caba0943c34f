"""What no table can see by itself: two listeners on one address, two routes of one name, a request nobody takes."""

from collections.abc import Iterator

from .problems import Place, dotted, key
from .schema import HttpListener, Settings, TcpListener


def problems(settings: Settings) -> Iterator[tuple[Place, str]]:
    """Everything that does not fit together, in file order of its tables: place and message."""
    yield from _shared_addresses(settings)
    yield from _streams_hashed_by_requests(settings)
    yield from _shared_names(settings)
    yield from _requests_with_nowhere_to_go(settings)


def warnings(settings: Settings) -> Iterator[tuple[Place, str]]:
    """What is allowed, but hardly meant."""
    used = {listener.pool for listener in settings.listeners.values() if isinstance(listener, TcpListener)}
    reached: set[str] = set()
    for route in settings.routes:
        used |= {route.pool} if route.pool is not None else set(route.split or {})
        reached |= set(settings.listeners if route.listeners is None else route.listeners)
    for name in settings.pools:
        if name not in used:
            yield ("pools", name), "no route and no listener uses this pool"
    for name, listener in settings.listeners.items():
        if isinstance(listener, HttpListener) and name not in reached:
            yield ("listeners", name), "no route belongs to this listener: every request is answered 404"


def _shared_addresses(settings: Settings) -> Iterator[tuple[Place, str]]:
    seen: dict[str, Place] = {}
    for name, listener in settings.listeners.items():
        for index, address in enumerate(listener.bind):
            place: Place = ("listeners", name, "bind", index)
            # Port 0 is a new port each time.
            other = seen.setdefault(str(address), place) if address.port else place
            if other != place:
                yield place, f"{address} is already bound by {dotted(other)}"


def _streams_hashed_by_requests(settings: Settings) -> Iterator[tuple[Place, str]]:
    for name, listener in settings.listeners.items():
        if not isinstance(listener, TcpListener):
            continue
        hash_key = settings.pools[listener.pool].hash_key
        if hash_key is not None and hash_key.source != "client_ip":
            yield (
                ("listeners", name, "pool"),
                f'pools.{key(listener.pool)} hashes "{hash_key}", which a TCP connection does not have',
            )


def _shared_names(settings: Settings) -> Iterator[tuple[Place, str]]:
    seen: dict[str, int] = {}
    for index, route in enumerate(settings.routes):
        first = seen.setdefault(route.name, index)
        if first != index:
            yield ("routes", index, "name"), f'routes[{first}] is already called "{route.name}"'


def _requests_with_nowhere_to_go(settings: Settings) -> Iterator[tuple[Place, str]]:
    http = [name for name, listener in settings.listeners.items() if isinstance(listener, HttpListener)]
    if http and not settings.routes:
        found = f"{len(settings.pools)} pools" if settings.pools else "no pool"
        yield (
            ("listeners", http[0]),
            f"its requests have nowhere to go: add [[routes]], or exactly one pool (found {found})",
        )
    if settings.routes and not http:
        yield ("routes",), "routes are for requests, and there is no HTTP listener"
