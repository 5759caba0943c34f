"""`evenly hash-password`."""

from __future__ import annotations

import getpass
import re
import sys
from typing import Annotated

import typer

from evenly.cli import MISTAKEN
from evenly.cli.terminal import complain

NameArgument = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="Print a line of a users file for this name.", show_default=False)
]


def hash_password(name: NameArgument = None) -> None:
    """Print the hash of a password for `basic_auth`. Asks for it, or reads one line of standard input."""
    # Imported here, because the packet path is what hashes; verbs that ask over the API do without it.
    from evenly.control import dataplane

    if name is not None and not re.fullmatch(r"[^\x00-\x1f\x7f:\ud800-\udfff]{1,128}", name):
        complain("expected a name of at most 128 characters, in UTF-8, without colons and controls")
        raise typer.Exit(MISTAKEN)
    try:
        password = _asked() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
        raw = password.encode()
    except UnicodeError as error:
        # Browsers send UTF-8, so the hash of anything else would fit nothing that they send.
        complain("expected a password in UTF-8")
        raise typer.Exit(MISTAKEN) from error
    if not password or any(ord(character) < 0x20 or ord(character) == 0x7F for character in password):
        complain("expected a password that is not empty and has no control characters")
        raise typer.Exit(MISTAKEN)
    hashed = dataplane.hash_password(raw)
    # Not through the console: it would break long lines.
    typer.echo(hashed if name is None else f"{name}:{hashed}")


def _asked() -> str:
    """Twice, because nobody sees what they type."""
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        complain("the two are not the same")
        raise typer.Exit(MISTAKEN)
    return password
