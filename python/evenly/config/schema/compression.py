"""Compression of responses."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .table import Matching, Table, listed, widened
from .units import Size, sizes

MediaType = Annotated[
    str,
    Matching(r"[a-z0-9!#$&^_.+-]+/([a-z0-9!#$&^_.+-]+|\*)", 'a lower-case media type such as "text/html" or "text/*"'),
]


class Compression(Table):
    """How responses of endpoints are compressed for clients that accept it. On a route it replaces the listener's.

    `Accept-Encoding` decides, with its weights; of equals the first in `algorithms`. Left as they are: responses that
    are encoded already, ranges (206), those without a body, those with `Cache-Control: no-transform` or a digest of
    their body, and Evenly's own. A compressed one loses its `Content-Length`, its `ETag` becomes weak, and
    `Vary: Accept-Encoding` is added to all that could have been compressed. When the endpoint pauses, what is there is
    flushed, so that events and other streams are not held up. Each worker's encoders take up to
    64 MiB; beyond that responses pass as they are.
    """

    heading: ClassVar[str] = "Compression"
    where: ClassVar[str] = "[listeners.NAME.compression], [routes.compression]"
    example: ClassVar[str] = """
[listeners.web]
bind = "0.0.0.0:8080"
compression = { algorithms = ["zstd", "gzip"], min_size = "512B" }
"""

    algorithms: Annotated[list[Literal["zstd", "br", "gzip"]], widened(listed, str, list[str])] = Field(
        default=["zstd", "br", "gzip"], min_length=1, description="What is offered, the preferred one first."
    )
    types: Annotated[list[MediaType], widened(listed, str, list[str])] = Field(
        default=[
            "text/*", "application/json", "application/javascript", "application/xml", "application/xhtml+xml",
            "application/rss+xml", "application/atom+xml", "application/ld+json", "application/manifest+json",
            "application/problem+json", "application/wasm", "image/svg+xml", "font/ttf", "font/otf",
        ],
        min_length=1,
        description="Media types of bodies that are compressed; `text/*` is every text, event streams included.",
    )  # fmt: skip
    min_size: Annotated[Size, sizes("0B", "1GiB")] = Field(
        default=Size.parse("1KiB"), description="A body that is known to be shorter stays as it is."
    )
    level: Literal["fast", "balanced", "best"] = Field(
        default="balanced", description="Processor time against bytes: gzip 1, 5 or 9; br 1, 3 or 5; zstd 1, 3 or 9."
    )
