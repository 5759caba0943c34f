"""The configuration: what a user can write, and what it becomes.

    evenly.toml ── load ──▶ settings ── resolve ──▶ resolved ── document ──▶ JSON for the packet path
                    │                      │                        │
                 schema/            machine, name lookup     refusals by Rust come back
                 validate,          files beside the file    through `Document.problem`
                 consistency

`schema/` has every option once; `problems.py` says what a problem is. This is the lowest layer: it imports nothing else
of Evenly, opens no socket, and knows nothing of the process that runs it.
"""

from .arguments import from_arguments
from .document import Document, document
from .expand import expand
from .load import Loaded, Source, load, load_text
from .problems import ConfigError, Problem
from .resolve import Lookup, Machine, Resolved, resolve
from .schema import AdminAddress, Duration, Settings

__all__ = [
    "AdminAddress", "ConfigError", "Document", "Duration", "Loaded", "Lookup", "Machine", "Problem", "Resolved",
    "Settings", "Source", "document", "expand", "from_arguments", "load", "load_text", "resolve",
]  # fmt: skip
