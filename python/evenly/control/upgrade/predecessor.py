"""The new process's side of an upgrade: take what the old one hands over, say how it went, wait for its word."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

from evenly.control.upgrade.handover import Inheritance, receive_inheritance, receive_message, send_message

VARIABLE = "EVENLY_HANDOVER_FD"
"""The environment variable that names the inherited end of the pair of sockets."""

ANSWER_SECONDS = 30.0
"""How long the old process may take to answer; it only has to read a message."""


class DismissedError(Exception):
    """The old process goes on after all, so this one must not serve."""


class Predecessor:
    """The process that this one takes over from."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        channel.settimeout(ANSWER_SECONDS)

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Predecessor | None:
        """The predecessor, if this process was started for an upgrade. The variable is taken out of the environment."""
        descriptor = environment.pop(VARIABLE, None)
        if descriptor is None:
            return None
        os.set_inheritable(int(descriptor), False)
        return cls(socket.socket(fileno=int(descriptor)))

    def inheritance(self) -> Inheritance:
        """What it leaves. Raises `DismissedError` if it ended instead."""
        try:
            return receive_inheritance(self._channel)
        except (EOFError, OSError, ValueError) as error:
            raise DismissedError(f"the process to take over from did not hand over its sockets: {error}") from error

    def confirm(self) -> None:
        """Says that this process serves, and waits until the old one lets go. Raises `DismissedError` if not."""
        try:
            send_message(self._channel, {"serving": True})
            receive_message(self._channel)
        except (EOFError, OSError, ValueError) as error:
            raise DismissedError(f"the process to take over from goes on serving: {error}") from error
        finally:
            self._channel.close()

    def fail(self, reason: str) -> None:
        """Says why this process cannot serve, so that whoever asked for the upgrade is told."""
        try:
            send_message(self._channel, {"failed": reason})
            self._channel.close()
        except OSError:
            # It is gone, or was told already: there is nobody left to tell.
            return
