"""What discovery has found, and how it joins what the file says. Pure: who finds it is not known here."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from .resolve import Resolved, ResolvedEndpoint
from .schema import Endpoint

Found = Mapping[str, Sequence[Endpoint]]
"""Endpoints by pool; their addresses are IP addresses."""

NOTHING: Found = MappingProxyType({})


def members(resolved: Resolved, found: Found, pool: str) -> list[ResolvedEndpoint]:
    """The endpoints of a pool: those that the file writes, then those that were found and are not among them."""
    written = resolved.endpoints[pool]
    if resolved.settings.pools[pool].discovery is None:
        return written
    taken = {endpoint.address for endpoint in written}
    more = (endpoint for endpoint in found.get(pool, ()) if str(endpoint.address) not in taken)
    # Found ones stand after the last entry of the file, where no line is: a problem with one points at the pool.
    first = len(resolved.settings.pools[pool].endpoints)
    return [*written, *(ResolvedEndpoint(first + index, str(each.address), each) for index, each in enumerate(more))]
