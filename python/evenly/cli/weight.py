"""`evenly weight POOL ENDPOINT 3`."""

from __future__ import annotations

from typing import Annotated

import typer

from evenly.cli.client import AdminOption, FileOption, TokenOption, find
from evenly.cli.endpoint import EndpointArgument, PoolArgument, place_of, warn_unsaved
from evenly.cli.terminal import output
from evenly.control.status import EndpointSet

WeightArgument = Annotated[
    int | None, typer.Argument(metavar="WEIGHT", min=0, max=65_535, help="0 gets no traffic.", show_default=False)
]
ClearOption = Annotated[bool, typer.Option("--clear", help="Go back to the configured weight.")]


def weight(
    pool: PoolArgument,
    endpoint: EndpointArgument,
    weight: WeightArgument = None,
    clear: ClearOption = False,
    admin: AdminOption = None,
    file: FileOption = None,
    token_file: TokenOption = None,
) -> None:
    """Set an endpoint's weight, in place of the configured one until it is cleared.

    evenly weight app 10.0.0.1:9000 3
    evenly weight app 10.0.0.1:9000 --clear
    """
    if (weight is None) != clear:
        raise typer.BadParameter("expected either a weight or --clear")
    answer = find(admin, file, token_file).request("PUT", place_of(pool, endpoint), {"weight": weight})
    now = EndpointSet.model_validate(answer)
    output.print(f"{pool} {now.address} has weight {now.weight}", markup=False)
    warn_unsaved(now)
