"""`evenly add POOL ENDPOINT`."""

from __future__ import annotations

from typing import Annotated

import typer

from evenly.cli.client import AdminOption, FileOption, TokenOption, find
from evenly.cli.endpoint import EndpointArgument, PoolArgument, place_of, say_edited

WeightOption = Annotated[int | None, typer.Option("--weight", help="Share relative to the other endpoints.")]
BackupOption = Annotated[bool, typer.Option("--backup", help="Use it only when no other endpoint can be.")]


def add(
    pool: PoolArgument,
    endpoint: EndpointArgument,
    weight: WeightOption = None,
    backup: BackupOption = False,
    admin: AdminOption = None,
    file: FileOption = None,
    token_file: TokenOption = None,
) -> None:
    """Add an endpoint to a pool, on top of the file."""
    options = ({} if weight is None else {"weight": weight}) | ({"backup": True} if backup else {})
    edited = find(admin, file, token_file).request("POST", place_of(pool, endpoint), options)
    say_edited(f"{pool} has {endpoint} now", edited)
