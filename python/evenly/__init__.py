"""Evenly: a load balancer that runs as one process from one file.

The packages, each importing only those to its right: `cli` → `api` → `control` → `config`. Start with
`config/__init__.py` for what a user can write, and with `control/` for what happens to it.
"""

__version__ = "0.1.0"
