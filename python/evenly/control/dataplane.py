"""The packet path as Python values; the only module that imports `_native`.

Every call blocks without the interpreter lock. Calls that may wait (all that touch listeners, workers or the event
queue) belong in a thread when an event loop runs.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

from evenly import _native
from evenly.config import ConfigError, Document, Problem
from evenly.config.problems import SHOWN
from evenly.control.status import Changes, DataplaneStatus, OperatorState

_ROUTE = re.compile(r"routes\[(\d+)\]")

Sockets = list[tuple[str, list[int]]]
"""Listening descriptors by the address they are bound to ("0.0.0.0:8080"); several workers, several descriptors."""


def check(document: Document) -> list[Problem]:
    """Builds a document without running it and returns warnings, such as routes that can never match.

    Raises `ConfigError`.
    """
    try:
        warnings = json.loads(_native.check(document.text))
    except _native.DocumentError as error:
        raise _refusal(document, error) from None
    return [document.problem(warning["path"], warning["message"]) for warning in warnings]


def hash_password(password: bytes) -> str:
    """A hash for `basic_auth`, with a salt of its own. Takes tens of milliseconds."""
    return _native.hash_password(password, secrets.token_bytes(16))


class Dataplane:
    """Workers and the service thread, running from `start` until `stop`."""

    def __init__(self, native: _native.Dataplane) -> None:
        self._native = native

    @classmethod
    def start(cls, document: Document, sockets: Sockets, health: str) -> Dataplane:
        """Starts serving; owns the sockets from here on. Raises `ConfigError`, and `OSError` for sockets and files."""
        try:
            return cls(_native.Dataplane(document.text, sockets, health))
        except _native.DocumentError as error:
            raise _refusal(document, error) from None

    def apply(self, document: Document, health: str = "") -> Changes:
        """Swaps the configuration. Raises `ConfigError` or `OSError`; then the running one stays.

        `health` is what an operator had set of endpoints that come with it; no request reaches them before it counts.
        """
        try:
            return Changes.model_validate_json(self._native.apply(document.text, health))
        except _native.DocumentError as error:
            raise _refusal(document, error) from None

    def status(self) -> DataplaneStatus:
        """Listeners, pools with their endpoints, and totals."""
        return DataplaneStatus.model_validate_json(self._native.status())

    def metrics(self) -> str:
        """All metrics in Prometheus' text format."""
        return self._native.metrics()

    def events(self, timeout_ms: int) -> list[dict[str, Any]]:
        """Waits for events; an empty list at the timeout."""
        events: list[dict[str, Any]] = json.loads(self._native.events(timeout_ms))
        return events

    def settle_name(self, name: str) -> None:
        """Has handshakes go on that wait for a certificate for this name: it is there by now, or will not be."""
        self._native.settle_name(name)

    def set_endpoint(self, pool: str, address: str, state: OperatorState, weight: int | None) -> None:
        """Sets both; `None` is the configured weight. Raises `KeyError` for a pool or endpoint that is not there."""
        self._native.set_endpoint(pool, address, str(state), weight)

    def evacuate(self, zone: str, time_ms: int | None) -> None:
        """Evacuates a zone for so long; `None` takes it back. Raises `KeyError` if there is nothing to do it to."""
        self._native.evacuate(zone, time_ms)

    def sockets(self) -> Sockets:
        """Duplicates of the listening descriptors; the caller closes them."""
        return self._native.sockets()

    def health(self) -> str:
        """Health and operator states of all endpoints and the evacuated zones, for a successor."""
        return self._native.health()

    def reopen_logs(self) -> None:
        """Opens the access log again. Raises `OSError`; then it goes on writing to the old file."""
        self._native.reopen_logs()

    def drain(self) -> None:
        """Stops accepting and lets connections end after what is under way on them; returns at once."""
        self._native.drain()

    def connections(self) -> int:
        """Client connections that are open."""
        return self._native.connections()

    def stop(self) -> None:
        """Ends every connection and thread; returns when they are gone."""
        self._native.stop()


def _refusal(document: Document, error: _native.DocumentError) -> ConfigError:
    """The packet path's refusal at the user's own line."""
    path, message = error.args
    return ConfigError([document.problem(path, message), *_in_other_routes(document, path)])


def _in_other_routes(document: Document, path: str) -> Iterator[Problem]:
    """What else is wrong with routes: the packet path stops at the first, so it is asked again without that one."""
    tree = json.loads(document.text)
    left = list(range(len(tree["routes"])))
    found = _ROUTE.match(path)
    for _ in range(SHOWN):
        if found is None:
            # It is in another part, and perhaps only there because routes are left out.
            return
        del left[int(found[1])]
        try:
            _native.check(json.dumps(tree | {"routes": [tree["routes"][index] for index in left]}))
        except _native.DocumentError as error:
            path, message = error.args
        else:
            return
        found = _ROUTE.match(path)
        if found is not None:
            yield document.problem(f"routes[{left[int(found[1])]}]{path[found.end() :]}", message)
