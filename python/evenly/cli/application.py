"""All verbs in one list, and the one place that turns an error into a message and an exit code."""

from __future__ import annotations

import typer

from evenly.cli import (
    FAILED,
    MISTAKEN,
    add,
    certificates,
    check,
    diff,
    drain,
    edits,
    evacuate,
    hash_password,
    maintenance,
    ready,
    reload,
    remove,
    split,
    status,
    upgrade,
    version,
    weight,
)
from evenly.cli import run as run_verb
from evenly.cli.client import AdminRequestError
from evenly.cli.demo import verb as demo
from evenly.cli.terminal import complain
from evenly.config import ConfigError
from evenly.control.admin import AdminError
from evenly.control.binding import ListenError
from evenly.control.upgrade.predecessor import DismissedError

app = typer.Typer(
    name="evenly",
    help="A load balancer that runs as one process from one file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SERVING, OPERATING, TRYING = "Serve", "Ask and steer what runs", "Try it"

app.command(rich_help_panel=SERVING)(run_verb.run)
app.command(rich_help_panel=SERVING)(check.check)
app.command(rich_help_panel=SERVING, name="hash-password")(hash_password.hash_password)
app.command(rich_help_panel=OPERATING)(status.status)
app.add_typer(certificates.app, name="certificates", rich_help_panel=OPERATING)
app.command(rich_help_panel=OPERATING)(diff.diff)
app.command(rich_help_panel=OPERATING)(reload.reload)
app.command(rich_help_panel=OPERATING)(upgrade.upgrade)
app.command(rich_help_panel=OPERATING)(drain.drain)
app.command(rich_help_panel=OPERATING)(maintenance.maintenance)
app.command(rich_help_panel=OPERATING)(ready.ready)
app.command(rich_help_panel=OPERATING)(weight.weight)
app.command(rich_help_panel=OPERATING)(add.add)
app.command(rich_help_panel=OPERATING)(remove.remove)
app.command(rich_help_panel=OPERATING)(edits.edits)
app.command(rich_help_panel=OPERATING)(evacuate.evacuate)
app.command(rich_help_panel=OPERATING)(split.split)
app.command(rich_help_panel=TRYING)(demo.demo)
app.command(rich_help_panel=TRYING)(version.version)


def run() -> int:
    """Runs the verb that the command line names; its exit code."""
    try:
        app(prog_name="evenly")
    except ConfigError as error:
        for problem in error.problems:
            complain(str(problem))
        return MISTAKEN
    except (ListenError, AdminError, AdminRequestError, DismissedError) as error:
        complain(str(error))
        return FAILED
    except OSError as error:
        # The packet path's own: a log that cannot be opened, a limit that was reached.
        complain(str(error))
        return FAILED
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else FAILED
    return 0
