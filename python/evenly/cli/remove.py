"""`evenly remove POOL ENDPOINT`."""

from __future__ import annotations

from evenly.cli.client import AdminOption, FileOption, TokenOption, find
from evenly.cli.endpoint import EndpointArgument, PoolArgument, place_of, say_edited


def remove(
    pool: PoolArgument,
    endpoint: EndpointArgument,
    admin: AdminOption = None,
    file: FileOption = None,
    token_file: TokenOption = None,
) -> None:
    """Remove an endpoint from a pool, on top of the file; what is under way on it is finished."""
    edited = find(admin, file, token_file).request("DELETE", place_of(pool, endpoint))
    say_edited(f"{pool} has {endpoint} no more", edited)
