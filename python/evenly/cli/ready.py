"""`evenly ready POOL ENDPOINT`."""

from __future__ import annotations

from evenly.cli.client import AdminOption, FileOption, TokenOption
from evenly.cli.endpoint import EndpointArgument, PoolArgument, set_state
from evenly.control.status import OperatorState


def ready(
    pool: PoolArgument,
    endpoint: EndpointArgument,
    admin: AdminOption = None,
    file: FileOption = None,
    token_file: TokenOption = None,
) -> None:
    """Put an endpoint back that was drained or in maintenance; its health decides from there."""
    set_state(pool, endpoint, OperatorState.READY, admin, file, token_file)
