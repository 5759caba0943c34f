"""What the verbs about one endpoint share: how it is named, setting its state, and saying what an edit did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from evenly.cli.client import find
from evenly.cli.terminal import output, warn
from evenly.control.status import Edited, EndpointSet, Keeping, OperatorState

PoolArgument = Annotated[str, typer.Argument(metavar="POOL", help="The pool's name.", show_default=False)]
EndpointArgument = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its address.", show_default=False)]


def set_state(
    pool: str, address: str, state: OperatorState, admin: str | None, file: Path | None, token: Path | None
) -> None:
    """Sets it and prints what the endpoint is now."""
    answer = find(admin, file, token).request("PUT", place_of(pool, address), {"state": str(state)})
    endpoint = EndpointSet.model_validate(answer)
    under_way = f", {endpoint.in_flight:,} under way" if endpoint.in_flight else ""
    output.print(f"{pool} {endpoint.address} is {endpoint.state}{under_way}")
    warn_unsaved(endpoint)


def place_of(pool: str, address: str) -> str:
    """Where the admin API has an endpoint."""
    return f"/api/pools/{quote(pool, safe='')}/endpoints/{quote(address, safe='')}"


def say_edited(what: str, answer: Any) -> None:  # noqa: ANN401 - JSON
    """Says what an edit did, and whether it will last."""
    edited = Edited.model_validate(answer)
    output.print(f"generation {edited.generation}: {what}", markup=False)
    warn_unsaved(edited)
    if not edited.kept and not edited.unsaved:
        warn("it ends with the process: `state_dir` is not set")


def warn_unsaved(keeping: Keeping) -> None:
    """Says so if what was set is not on the disk, where it should be."""
    if keeping.unsaved:
        warn(f"it ends with the process unless it can be written before: {keeping.unsaved}")
