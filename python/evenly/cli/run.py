"""`evenly run`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from evenly.config import AdminAddress

WhatArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE | ENDPOINT...", help="The configuration, or with --listen endpoints."),
]
ListenOption = Annotated[
    list[str] | None, typer.Option("--listen", metavar="ADDRESS", help="Run without a file: listen here. Repeatable.")
]
ProtocolOption = Annotated[
    str, typer.Option("--protocol", metavar="http|tcp|udp", help="With --listen: what is spoken.")
]
WatchOption = Annotated[bool, typer.Option("--watch", help="Reload when the file, or one that it names, changes.")]
AdminOption = Annotated[
    str | None, typer.Option("--admin", metavar="ADDRESS", help="The admin socket's path or HOST:PORT, for this run.")
]
ZoneOption = Annotated[
    str | None, typer.Option("--zone", metavar="ZONE", help="The zone that this node is in, whatever the file says.")
]


def run(
    what: WhatArgument = None,
    listen: ListenOption = None,
    protocol: ProtocolOption = "http",
    watch: WatchOption = False,
    admin: AdminOption = None,
    zone: ZoneOption = None,
) -> None:
    """Serve, until SIGTERM or Ctrl-C; the second of them ends at once.

    evenly run evenly.toml
    evenly run --listen :8080 10.0.0.1:9000 10.0.0.2:9000
    """
    # Imported here, because only this verb needs the packet path.
    from evenly.api.server import AdminServer
    from evenly.control.life import supervise
    from evenly.control.origin import Origin
    from evenly.control.process import logs

    logs.configure()
    what, listen = what or [], listen or []
    address = None if admin is None else _address(admin)
    if listen:
        if not what:
            raise typer.BadParameter("expected at least one endpoint after --listen ADDRESS")
        if watch:
            raise typer.BadParameter("--watch needs a file")
        if zone is not None:
            raise typer.BadParameter("--zone needs a file: endpoints of the command line are in no zone")
        origin = Origin.of_arguments(listen, what, protocol, address)
    elif len(what) == 1:
        origin = Origin.of_file(Path(what[0]), address, zone)
    else:
        raise typer.BadParameter("expected one FILE, or --listen ADDRESS and endpoints")
    asyncio.run(supervise(origin, AdminServer.open, watch=watch))


def _address(text: str) -> AdminAddress:
    try:
        address = AdminAddress.parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"--admin: {str(error) or 'expected an absolute path or HOST:PORT'}") from error
    if not address.is_local:
        # With a file there may be a token, but the file says where it is meant for.
        raise typer.BadParameter("--admin: expected a path or a loopback address; others belong into [admin]")
    return address
