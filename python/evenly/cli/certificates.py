"""`evenly certificates`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from evenly.cli.client import AdminOption, FileOption, TokenOption, find
from evenly.cli.status_table import plain_table
from evenly.cli.terminal import output, warn
from evenly.control.certificates import WARN_DAYS
from evenly.control.status import CertificateStatus

JsonOption = Annotated[bool, typer.Option("--json", help="Print what the admin API answers.")]


def certificates(
    as_json: JsonOption = False, admin: AdminOption = None, file: FileOption = None, token_file: TokenOption = None
) -> None:
    """Show certificates: what they are for, who issued them, how long they last, and where they are used."""
    answer = find(admin, file, token_file).request("GET", "/api/certificates")
    if as_json:
        # Not through the console: it would break long lines.
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    found = [CertificateStatus.model_validate(each) for each in answer]
    output.print(render(found) if found else "no certificates")
    for problem in sorted({each.problem for each in found if each.problem}):
        warn(f"replaced files are not used: {problem}")


def render(certificates: list[CertificateStatus]) -> Table:
    """The table for people."""
    table = plain_table()
    for name in ("certificate", "for", "issuer", "key", "expires"):
        table.add_column(name, overflow="fold")
    table.add_column("days left", justify="right")
    table.add_column("listeners", overflow="fold")
    for each in certificates:
        style = "bold red" if each.days_left < 0 else "yellow" if each.days_left < WARN_DAYS else "green"
        table.add_row(
            each.name,
            "\n".join(each.names),
            each.issuer,
            each.key,
            f"{datetime.fromtimestamp(each.expires, UTC):%Y-%m-%d}",
            Text(f"{each.days_left:,}", style),
            "\n".join(each.listeners),
        )
    return table
