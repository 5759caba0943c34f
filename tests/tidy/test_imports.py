"""The packet path has one door. import-linter does not see extension modules, so this reads the import statements."""

import ast

from .tree import production, read

DOOR = "python/evenly/control/dataplane.py"


def imports_native(source: str) -> bool:
    """Whether a module imports `evenly._native` in any spelling."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(alias.name for alias in node.names)]
        else:
            continue
        if any("_native" in name.split(".") for name in names):
            return True
    return False


def test_only_one_module_talks_to_the_packet_path() -> None:
    """Everything else goes through `control.dataplane`, which turns its texts into types."""
    users = {str(path) for path in production(".py") if imports_native(read(path))}
    assert users == {DOOR}


def test_the_reader_itself() -> None:
    """Every spelling counts, and a name that only resembles it does not."""
    for line in (
        "from evenly import _native",
        "import evenly._native",
        "from evenly._native import check",
        "from . import _native",
    ):
        assert imports_native(line), line
    assert not imports_native("from evenly import natives")
