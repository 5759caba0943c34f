"""`evenly version`."""

from __future__ import annotations

import platform

from evenly import __version__
from evenly.cli.terminal import output


def version() -> None:
    """Print the version."""
    output.print(f"evenly {__version__} (Python {platform.python_version()}, {platform.machine()})")
