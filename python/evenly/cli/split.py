"""`evenly split ROUTE stable=90 canary=10`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from evenly.cli.client import AdminOption, FileOption, TokenOption, find
from evenly.cli.endpoint import warn_unsaved
from evenly.cli.status_table import split_line
from evenly.cli.terminal import output
from evenly.control.status import SplitSet, SplitStatus

RouteArgument = Annotated[str, typer.Argument(metavar="ROUTE", help="The route's name.", show_default=False)]
WeightsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="POOL=WEIGHT...", help="One for each pool of the split.", show_default=False),
]
ClearOption = Annotated[bool, typer.Option("--clear", help="Go back to the file's weights.")]


def split(
    route: RouteArgument,
    weights: WeightsArgument = None,
    clear: ClearOption = False,
    admin: AdminOption = None,
    file: FileOption = None,
    token_file: TokenOption = None,
) -> None:
    """Show how a route splits its requests, or set the weights until they are cleared or the file's own change.

    evenly split route-2
    evenly split route-2 stable=90 canary=10
    evenly split route-2 --clear
    """
    if weights and clear:
        raise typer.BadParameter("expected either weights or --clear")
    path = f"/api/routes/{quote(route, safe='')}/split"
    api = find(admin, file, token_file)
    if not clear and not weights:
        output.print(split_line(SplitStatus.model_validate(api.request("GET", path))))
        return
    answer = api.request("DELETE", path) if clear else api.request("PUT", path, _parse(weights or []))
    after = SplitSet.model_validate(answer)
    output.print(split_line(after))
    warn_unsaved(after)


def _parse(weights: list[str]) -> dict[str, int]:
    parsed: dict[str, int] = {}
    for each in weights:
        pool, equals, number = each.partition("=")
        if not equals or not number.isdecimal() or not pool:
            raise typer.BadParameter(f'expected POOL=WEIGHT such as "canary=10", found "{each}"')
        parsed[pool] = int(number)
    return parsed
