"""`evenly check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from evenly.cli import MISTAKEN
from evenly.cli.terminal import output, warn
from evenly.config import ConfigError, Problem, Resolved, expand

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The configuration.", show_default=False)]
ExpandOption = Annotated[bool, typer.Option("--expand", help="Print it in its long form, every default written out.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print problems and warnings as one JSON object.")]


def check(file: FileArgument, expanded: ExpandOption = False, as_json: JsonOption = False) -> None:
    """Say what is wrong with a configuration, or would never happen, without running it."""
    # Imported here, because the packet path is what knows routes; verbs that ask over the API do without it.
    from evenly.control import dataplane
    from evenly.control.origin import Origin
    from evenly.control.process import descriptors

    # As `run` does, so that both find the same limit.
    descriptors.raise_limit()
    try:
        configuration = Origin.of_file(file, once=True).read()
        warnings = [*configuration.resolved.warnings, *dataplane.check(configuration.document)]
    except ConfigError as error:
        if not as_json:
            raise
        _print({"ok": False, "problems": _fields(error.problems), "warnings": []})
        raise typer.Exit(MISTAKEN) from None
    if as_json:
        _print({"ok": True, "problems": [], "warnings": _fields(warnings)})
        return
    for warning in warnings:
        warn(str(warning))
    if expanded:
        # Not through the console: it would break long lines.
        typer.echo(expand(configuration.resolved.settings), nl=False)
    else:
        output.print(f"[green]ok[/]: {summary(configuration.resolved)}", soft_wrap=True)


def summary(resolved: Resolved) -> str:
    """What a configuration has: "1 listener, 2 pools with 5 endpoints and 1 source, 12 routes"."""
    settings = resolved.settings
    endpoints = sum(len(endpoints) for endpoints in resolved.endpoints.values())
    sources = sum(pool.discovery is not None for pool in settings.pools.values())
    asked = f" and {_count(sources, 'source')}" if sources else ""
    return (
        f"{_count(len(settings.listeners), 'listener')}, {_count(len(settings.pools), 'pool')} "
        f"with {_count(endpoints, 'endpoint')}{asked}, {_count(len(settings.routes), 'route')}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _print(report: dict[str, object]) -> None:
    # Not through the console: it would break long lines.
    typer.echo(json.dumps(report, indent=2, ensure_ascii=False))


def _fields(problems: list[Problem]) -> list[dict[str, object]]:
    return [
        {"file": each.file, "line": each.line, "column": each.column, "path": each.path, "message": each.message}
        for each in problems
    ]
