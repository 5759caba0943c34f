"""`evenly maintenance POOL ENDPOINT`."""

from __future__ import annotations

from evenly.cli.client import AdminOption, FileOption, TokenOption
from evenly.cli.endpoint import EndpointArgument, PoolArgument, set_state
from evenly.control.status import OperatorState


def maintenance(
    pool: PoolArgument,
    endpoint: EndpointArgument,
    admin: AdminOption = None,
    file: FileOption = None,
    token_file: TokenOption = None,
) -> None:
    """Take an endpoint out altogether: no traffic, even when every other one is down."""
    set_state(pool, endpoint, OperatorState.MAINTENANCE, admin, file, token_file)
