"""Where verbs write: results to standard output, everything else to standard error."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

# No highlighting: colour means state here, and rich would colour every number.
output = Console(highlight=False, soft_wrap=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def complain(message: str) -> None:
    """What went wrong, one line or several; brackets in it are text."""
    errors.print(Text.assemble(("error: ", "bold red"), message))


def warn(message: str) -> None:
    """What works but is probably not meant."""
    errors.print(Text.assemble(("warning: ", "bold yellow"), message))
