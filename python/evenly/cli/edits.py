"""`evenly edits`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from evenly.cli.client import AdminOption, FileOption, TokenOption, find
from evenly.cli.endpoint import say_edited

DiscardOption = Annotated[bool, typer.Option("--discard", help="Take all of them back: the file counts again.")]


def edits(
    discard: DiscardOption = False, admin: AdminOption = None, file: FileOption = None, token_file: TokenOption = None
) -> None:
    """Print what has been changed on top of the file, as JSON; or take it back."""
    api = find(admin, file, token_file)
    if discard:
        say_edited("all edits are taken back", api.request("DELETE", "/api/edits"))
    else:
        # Not through the console: it would break long lines.
        typer.echo(json.dumps(api.request("GET", "/api/edits"), indent=2, ensure_ascii=False))
