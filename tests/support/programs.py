"""Programs that others wrote, which tests talk to."""

import shutil

import pytest


def program(name: str) -> str:
    """Where a program is.

    Its test is skipped where it is not installed, and says so: only root can install it, and no other test needs it.
    `.ci/run` installs what Debian has.
    """
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    # The one reason to skip: see above.
    return found or pytest.skip(f"{name} is not installed")
