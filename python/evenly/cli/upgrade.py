"""`evenly upgrade`."""

from __future__ import annotations

from evenly.cli.client import UPGRADE_SECONDS, AdminOption, FileOption, TokenOption, find
from evenly.cli.terminal import output


def upgrade(admin: AdminOption = None, file: FileOption = None, token_file: TokenOption = None) -> None:
    """Start the installed version in place of the running one, without refusing a single connection."""
    answer = find(admin, file, token_file).request("POST", "/api/upgrade", timeout=UPGRADE_SECONDS)
    output.print(f"process {answer['pid']} serves now; the old one finishes what it has")
