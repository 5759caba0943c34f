"""What `drain`, `maintenance` and `ready` share: setting one endpoint's state."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from evenly.cli.client import find
from evenly.cli.terminal import output
from evenly.control.status import EndpointStatus, OperatorState

PoolArgument = Annotated[str, typer.Argument(metavar="POOL", help="The pool's name.", show_default=False)]
EndpointArgument = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its address.", show_default=False)]


def set_state(
    pool: str, address: str, state: OperatorState, admin: str | None, file: Path | None, token: Path | None
) -> None:
    """Sets it and prints what the endpoint is now."""
    path = f"/api/pools/{quote(pool, safe='')}/endpoints/{quote(address, safe='')}"
    answer = find(admin, file, token).request("PUT", path, {"state": str(state)})
    endpoint = EndpointStatus.model_validate(answer)
    under_way = f", {endpoint.in_flight:,} under way" if endpoint.in_flight else ""
    output.print(f"{pool} {endpoint.address} is {endpoint.state}{under_way}")
