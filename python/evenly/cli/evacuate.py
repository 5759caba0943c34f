"""`evenly evacuate ZONE --for 30m`."""

from __future__ import annotations

import time
from typing import Annotated
from urllib.parse import quote

import typer

from evenly.cli.client import AdminOption, FileOption, TokenOption, find
from evenly.cli.endpoint import warn_unsaved
from evenly.cli.status_table import duration
from evenly.cli.terminal import output
from evenly.control.status import ZoneSet

ZoneArgument = Annotated[str, typer.Argument(metavar="ZONE", help="The zone's name.", show_default=False)]
ForOption = Annotated[
    str | None,
    typer.Option("--for", metavar="DURATION", help='For how long, such as "30m"; then it comes back by itself.'),
]
CancelOption = Annotated[bool, typer.Option("--cancel", help="Take it back into service now.")]


def evacuate(
    zone: ZoneArgument,
    length: ForOption = None,
    cancel: CancelOption = False,
    admin: AdminOption = None,
    file: FileOption = None,
    token_file: TokenOption = None,
) -> None:
    """Send a zone's endpoints no traffic, for a while that must be given; or take it back.

    evenly evacuate eu-central-1a --for 30m
    evenly evacuate eu-central-1a --cancel
    """
    if (length is None) != cancel:
        raise typer.BadParameter("expected either --for DURATION or --cancel")
    path = f"/api/zones/{quote(zone, safe='')}/evacuation"
    api = find(admin, file, token_file)
    answer = api.request("DELETE", path) if cancel else api.request("PUT", path, {"time": length})
    state = ZoneSet.model_validate(answer)
    if state.evacuated_until is None:
        output.print(f"zone {zone} is back in service")
    else:
        left = duration(state.evacuated_until - time.time())
        output.print(
            f"zone {zone} is evacuated for {left}: {state.endpoints} endpoints get no traffic while others can"
        )
    warn_unsaved(state)
