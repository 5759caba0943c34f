"""`evenly drain POOL ENDPOINT`."""

from __future__ import annotations

from evenly.cli.client import AdminOption, FileOption, TokenOption
from evenly.cli.endpoint import EndpointArgument, PoolArgument, set_state
from evenly.control.status import OperatorState


def drain(
    pool: PoolArgument,
    endpoint: EndpointArgument,
    admin: AdminOption = None,
    file: FileOption = None,
    token_file: TokenOption = None,
) -> None:
    """Send an endpoint nothing new and let it finish what it has."""
    set_state(pool, endpoint, OperatorState.DRAINING, admin, file, token_file)
