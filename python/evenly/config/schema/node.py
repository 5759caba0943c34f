"""The node: this one running Evenly among others."""

from typing import ClassVar

from pydantic import Field

from .table import Table
from .words import Name


class Node(Table):
    """What sets this node apart from others that run the same file."""

    heading: ClassVar[str] = "Node"
    where: ClassVar[str] = "[node]"
    example: ClassVar[str] = """
[node]
zone = "eu-central-1a"
"""

    zone: Name | None = Field(
        default=None,
        description="The failure domain that it is in. Endpoints with the same `zone` are asked first, see `priority` "
        "and `overprovisioning`. `$EVENLY_ZONE` and `evenly run --zone` go before it, so that nodes can share a file.",
        examples=["a"],
    )
