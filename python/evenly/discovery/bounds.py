"""What of an answer is taken: addresses that traffic can and may go to, each once, and no more than a bound. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from evenly.config.schema import Discovery, Endpoint
from evenly.discovery.source import name_for_address


@dataclass(frozen=True, slots=True)
class Taken:
    """What is left of an answer, in the order of addresses: sources shuffle, and that alone is no change."""

    endpoints: tuple[Endpoint, ...]
    outside: int
    """Left out because traffic cannot or may not go there."""
    beyond: int
    """Left out because there were more than `max_endpoints`."""


def take(answer: Sequence[Endpoint], options: Discovery) -> Taken:
    """Applies the bounds of `options`. Raises `SourceError` for a name where an address belongs."""
    networks = None if options.networks is None else [ip_network(str(each)) for each in options.networks]
    unique: dict[tuple[int, bytes, int], Endpoint] = {}
    outside = 0
    for each in answer:
        ip = _ip(each)
        if ip.is_unspecified or ip.is_multicast or not _within(ip, networks):
            outside += 1
        else:
            # The first of several that name one address; the order in which a source names them is its own.
            unique.setdefault((ip.version, ip.packed, each.address.port), each)
    ordered = tuple(unique[place] for place in sorted(unique))
    return Taken(ordered[: options.max_endpoints], outside, max(0, len(ordered) - options.max_endpoints))


def _ip(each: Endpoint) -> IPv4Address | IPv6Address:
    try:
        return ip_address(each.address.host)
    except ValueError:
        raise name_for_address(each.address.host) from None


def _within(ip: IPv4Address | IPv6Address, networks: Iterable[object] | None) -> bool:
    return networks is None or any(ip in network for network in networks)  # type: ignore[operator]
