"""How a host is shown to be ours: what an issuer asks for, and who answers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from evenly.config.schema import Challenge


@dataclass(frozen=True)
class Question:
    """One challenge of an issuer (RFC 8555, section 8)."""

    host: str
    """Without `*.`, if it is for a wildcard."""
    kind: Challenge
    token: str
    answer: str
    """The key authorization."""


class ResponderError(Exception):
    """A question cannot be answered; the text says why."""


class Responder(Protocol):
    """Answers questions of one kind."""

    def answering(self, questions: Sequence[Question]) -> AbstractAsyncContextManager[None]:
        """Answers them inside of the block. Raises `ResponderError` at its beginning."""
