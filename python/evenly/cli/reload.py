"""`evenly reload`."""

from __future__ import annotations

from evenly.cli.client import AdminOption, FileOption, TokenOption, find
from evenly.cli.terminal import output, warn
from evenly.control.status import ChangedNames, Changes


def reload(admin: AdminOption = None, file: FileOption = None, token_file: TokenOption = None) -> None:
    """Make the running process read its configuration again; if it is wrong, the old one stays."""
    changes = Changes.model_validate(find(admin, file, token_file).request("POST", "/api/reload"))
    output.print(f"generation {changes.generation}: {describe(changes)}")
    for warning in changes.warnings:
        warn(f"{warning.path}: {warning.message}")


def describe(changes: Changes) -> str:
    """What changed in one line: "pools: app changed; routes: old removed"."""
    nouns = {"listeners": changes.listeners, "pools": changes.pools, "routes": changes.routes}
    parts = [f"process: {', '.join(changes.process)} changed"] if changes.process else []
    parts += [f"{noun}: {describe_names(names)}" for noun, names in nouns.items() if describe_names(names)]
    return "; ".join(parts) or "nothing changed"


def describe_names(names: ChangedNames) -> str:
    """What changed of one noun: "app changed; old removed", or nothing."""
    verbs = {"added": names.added, "changed": names.changed, "removed": names.removed}
    return ", ".join(f"{_listed(group)} {verb}" for verb, group in verbs.items() if group)


def _listed(names: list[str]) -> str:
    """A few names, or how many: ten thousand routes are not read one by one."""
    return ", ".join(names) if len(names) <= 5 else f"{len(names):,}"
