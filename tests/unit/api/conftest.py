"""The supervisor of the control plane's tests."""

from tests.unit.control.conftest import file, native, supervisor

__all__ = ["file", "native", "supervisor"]
