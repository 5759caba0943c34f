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

import sys

FAILED = 1
MISTAKEN = 2


def main() -> None:
    """Runs the verb of this process's command line and exits with its code."""
    # Imported here, so that importing this package for its constants or for one verb stays cheap.
    from evenly.cli.application import run

    sys.exit(run())
