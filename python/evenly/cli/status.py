"""`evenly status`."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Annotated

import typer
from rich.live import Live

from evenly.cli.client import Admin, AdminOption, FileOption, TokenOption, find
from evenly.cli.status_table import render
from evenly.cli.terminal import output
from evenly.control.status import Status

REFRESH_SECONDS = 1.0
"""As fast as a person reads a changed number."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print what the admin API answers.")]
WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Stay and refresh every second, until Ctrl-C.")]


def status(
    as_json: JsonOption = False,
    watch: WatchOption = False,
    admin: AdminOption = None,
    file: FileOption = None,
    token_file: TokenOption = None,
) -> None:
    """Show listeners, pools and endpoints: what each does, and why one is out."""
    api = find(admin, file, token_file)
    if as_json:
        # Not through the console: it would break long lines.
        typer.echo(json.dumps(api.request("GET", "/api/status"), indent=2, ensure_ascii=False))
    elif watch:
        with contextlib.suppress(KeyboardInterrupt):
            _watch(api)
    else:
        output.print(render(_ask(api), time.time()))


def _ask(api: Admin) -> Status:
    return Status.model_validate(api.request("GET", "/api/status"))


def _watch(api: Admin) -> None:
    with Live(console=output, auto_refresh=False, screen=output.is_terminal) as live:
        earlier, asked = _ask(api), time.time()
        live.update(render(earlier, asked), refresh=True)
        while True:
            time.sleep(REFRESH_SECONDS)
            now, when = _ask(api), time.time()
            live.update(render(now, when, since=(earlier, asked)), refresh=True)
            earlier, asked = now, when
