"""The command line: one verb, one file. `main` is what the console script `evenly` calls.

`run` and `demo` start processes; `check` reads a file; the other verbs ask a running process over its admin API
(`client.py`). A verb prints its result to standard output and everything else to standard error.

| exit code | means |
| --- | --- |
| 0 | done |
| 1 | it did not work: nothing answers, an address is in use, an upgrade failed |
| 2 | the configuration or the command line is wrong |
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn

FAILED = 1
MISTAKEN = 2


def main() -> None:
    """Runs the verb of this process's command line and exits with its code."""
    # What is loaded here is needed to the end, and looking for garbage in it all the time takes a fifth of the start.
    # `run` switches the search on when it serves.
    gc.disable()
    # Imported here, so that importing this package for its constants or for one verb stays cheap.
    from evenly.cli.application import run

    code = run()
    _end(code)


def _end(code: int) -> NoReturn:
    """Ends the process without taking it to pieces first, which for all these modules lasts longer than most verbs."""
    # Either is None where its descriptor was closed from the start.
    with suppress(OSError):
        if sys.stderr is not None:
            sys.stderr.flush()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # A full disk, or a reader that has seen enough (`evenly status | head`).
        code = FAILED
    os._exit(code)
