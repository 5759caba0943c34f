"""The packet path, as Python sees it: the whole surface on one page. Texts in, texts out; see `control/dataplane.py`.

Every call releases the interpreter lock. A document that is refused raises `DocumentError(path, message)`, where path
is a place in the document ("pools[0].endpoints[1].address"), empty if it is not JSON. Everything else that fails raises
`OSError` (a socket, a file) or `KeyError` (an unknown pool or endpoint).
"""

from typing import Self, final

__all__ = ["Dataplane", "DocumentError", "check", "hash_password"]

class DocumentError(Exception):
    """`args` is `(path, message)`."""

def check(document: str) -> str:
    """Builds the document without running it; a JSON list of warnings `[{"path": …, "message": …}]`.

    Warnings name routes that can never match because earlier ones match all that they match.
    """

def hash_password(password: bytes, salt: bytes) -> str:
    """The argon2id hash of a password, as `basic_auth` reads it. `salt`: at least 8 random bytes, else `ValueError`."""

@final
class Dataplane:
    """Workers and the service thread, running from construction until `stop`."""

    def __new__(cls, document: str, sockets: list[tuple[str, list[int]]], health: str) -> Self:
        """Starts serving.

        `sockets`: listening descriptors taken over from a parent or from systemd, by bind address ("0.0.0.0:8080");
        they are owned from here on. `health`: what `health()` of the previous process returned, or "" .
        """

    def apply(self, document: str, health: str) -> str:
        """Swaps the configuration; on any error the running one stays.

        `health`: what an operator had set of endpoints that come with this document, in the form of `health()`, or "".
        It must not name those that are running. Returns what changed, as JSON:

        `{"generation": 2, "listeners": {"added": [...], "removed": [...], "changed": [...]}, "pools": {…},
        "routes": {…}, "warnings": [{"path", "message"}]}`; names are the user's.
        """

    def status(self) -> str:
        """Listeners, pools with their endpoints, and totals, as JSON; `control/status.py` is its type:

        `{"generation": 2, "workers": 2, "connections": 12, "requests": 3456,
        "zone": "a", "zones": [{"name", "endpoints", "healthy", "evacuated_until"}],
        "mirrors": [{"route", "pool", "copies", "compared"}],
        "listeners": [{"name", "protocol", "bind": [...], "connections", "accepted", "requests",
        "tls": {"handshakes", "resumed", "failures"},
        "http2": {"connections", "ended_streams": {reason: count}, "ended_connections": {reason: count}},
        "http3": {…the same, "migrations", "retries", "lost_packets"}}],
        "pools": [{"name", "balance", "affinity": {"by", "entries"}, "fallback",
        "serving": "healthy" or who else gets traffic, or why nobody does,
        "levels": [{"priority", "zone", "backup", "usable_weight", "weight", "share"}],
        "circuit": {"state", "reason", "open_for", "requests", "failed", "in_flight", "max_requests"},
        "concurrency": {"limit", "in_flight", "unloaded", "last"},
        "queue": {"waiting", "size", "waited", "timeouts", "full"}, "grpc": {status: count},
        "retries": {"causes": {"connect-failure", "reset", "timeout", "status"}, "refused"},
        "hedge": {"delay", "sent", "won", "refused"},
        "endpoints": [{"address", "weight", "backup", "zone", "priority", "evacuated", "share", "state",
        "reason", "circuit": {as the pool's}, "since", "in_flight", "requests", "failures",
        "tls": {"handshakes", "resumed", "trouble"}}]}]}`.

        `state` is "starting", "healthy", "unhealthy", "ejected", "draining" or "maintenance"; `reason` says why it is
        not healthy ("connect: connection refused") or gets less than its weight, else ""; `share` is percent of the
        weight; `since` is unix seconds; `connections` and `in_flight` are gauges, the rest are totals since the start
        of the process. For tcp, `requests` counts connections.
        """

    def metrics(self) -> str:
        """All metrics in Prometheus' text format 0.0.4."""

    def events(self, timeout_ms: int) -> str:
        """Waits for events (an endpoint's state changed, a log line) and returns a JSON list, empty at the timeout.

        Each is `{"time": unix seconds, "level": "info"|"warning"|"error", "event": name, …fields}`; for endpoints:
        `{"event": "endpoint", "pool", "endpoint", "from", "to", "reason"}`, for circuit breakers
        `{"event": "circuit", "pool", "endpoint", "from", "to", "reason"}`, without `endpoint` for a pool's; for names
        that may get a certificate on demand: `{"event": "name", "name"}`.
        """

    def settle_name(self, name: str) -> None:
        """A name of such an event has a certificate by now, or gets none: handshakes that wait for it go on."""

    def set_endpoint(self, pool: str, address: str, state: str, weight: int | None) -> None:
        """Sets the operator's state ("ready", "draining", "maintenance") and weight; `None`: the document's weight."""

    def evacuate(self, zone: str, time_ms: int | None) -> None:
        """Evacuates a zone for so long, after which it comes back by itself; `None` takes it back now.

        `KeyError`: no endpoint is in that zone, or it is to be taken back and is not evacuated.
        """

    def sockets(self) -> list[tuple[str, list[int]]]:
        """Duplicates of the listening descriptors by bind address, for a successor; the caller closes them."""

    def health(self) -> str:
        """States of all endpoints, evacuated zones, and what affinity knows of clients, as JSON, for a successor."""

    def reopen_logs(self) -> None:
        """Closes and opens the access log again, after it was rotated."""

    def drain(self) -> None:
        """Stops accepting and lets connections end after what is under way on them; returns at once."""

    def connections(self) -> int:
        """Client connections that are open."""

    def stop(self) -> None:
        """Ends every connection and thread; returns when they are gone."""
