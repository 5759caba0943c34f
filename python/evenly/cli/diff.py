"""`evenly diff FILE`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from evenly.cli.client import AdminOption, AdminRequestError, FileOption, TokenOption, find
from evenly.cli.reload import describe_names
from evenly.cli.terminal import complain, output, warn
from evenly.control.difference import Difference

SAME, DIFFERENT, TROUBLE = 0, 1, 2
"""The exit codes of diff(1); a configuration that is refused is trouble as well."""

CandidateArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The configuration.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print what the admin API answers.")]


def diff(
    candidate: CandidateArgument,
    as_json: JsonOption = False,
    admin: AdminOption = None,
    file: FileOption = None,
    token_file: TokenOption = None,
) -> None:
    """Say what a reload of FILE would touch. Exit code 0: nothing, 1: something, 2: trouble."""
    try:
        answer = _ask(candidate, admin, file, token_file)
    except AdminRequestError as error:
        complain(str(error))
        raise typer.Exit(TROUBLE) from error
    difference = Difference.model_validate(answer)
    if as_json:
        # Not through the console: it would break long lines.
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        for warning in difference.warnings:
            warn(warning)
        for line in describe(difference):
            output.print(line, soft_wrap=True, markup=False)
    raise typer.Exit(DIFFERENT if difference.differs else SAME)


def describe(difference: Difference) -> list[str]:
    """The difference for people, one thing a line."""
    if not difference.differs:
        return ["nothing would change"]
    lines = [f"process: {', '.join(difference.process)} changed"] if difference.process else []
    nouns = {"listeners": difference.listeners, "routes": difference.routes, "pools": difference.pools}
    nouns |= {f"endpoints of {pool}": names for pool, names in difference.endpoints.items()}
    lines += [f"{noun}: {describe_names(names)}" for noun, names in nouns.items() if describe_names(names)]
    touched = difference.touched
    lines.append(
        f"connections: {touched.connections_kept:,} stay, {touched.connections_closed:,} end after what is under way; "
        f"{touched.requests_finished:,} under way on leaving endpoints, to be finished"
    )
    return lines


def _ask(candidate: Path, admin: str | None, file: Path | None, token_file: Path | None) -> Any:  # noqa: ANN401 - JSON
    try:
        text = candidate.read_text(encoding="utf-8-sig")
        directory = candidate.parent.resolve()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise AdminRequestError(f"cannot read {candidate}: {reason}") from error
    body = {"text": text, "name": str(candidate), "directory": str(directory)}
    return find(admin, file, token_file).request("POST", "/api/diff", body)
