"""A stand-in for the packet path: remembers what it is told, and answers as `_native.pyi` says."""

import json
import os
import threading
import time
from typing import Any


class DocumentError(Exception):
    """As the native one: `args` is `(path, message)`."""


class RecordingDataplane:
    """Serves nobody. `refuse` makes the next `apply` fail; `open_connections` is what `connections` reports."""

    def __init__(self, document: str, sockets: list[tuple[str, list[int]]] | None = None, health: str = "") -> None:
        self.document: dict[str, Any] = json.loads(document)
        self.taken_sockets = sockets or []
        self.taken_health = health
        self.calls: list[str] = []
        self.generation = 1
        self.states: dict[tuple[str, str], tuple[str, int | None]] = {}
        self.evacuated: dict[str, float] = {}
        self.open_connections = 0
        self.refuse: Exception | None = None
        self.waiting_events: list[dict[str, Any]] = []
        self._event = threading.Event()

    def apply(self, document: str, health: str) -> str:
        self.calls.append("apply")
        if self.refuse is not None:
            raise self.refuse
        self.taken_health = health
        self.document = json.loads(document)
        self.generation += 1
        return json.dumps({"generation": self.generation, "pools": {"added": [], "removed": [], "changed": ["app"]}})

    def status(self) -> str:
        return json.dumps(
            {
                "generation": self.generation,
                "workers": self.document["workers"],
                "connections": self.open_connections,
                "requests": 0,
                "zone": self.document["zone"],
                "zones": [
                    {"name": zone, "endpoints": 1, "healthy": 1, "evacuated_until": self.evacuated.get(zone)}
                    for zone in self._zones()
                ],
                "listeners": [
                    {"name": each["name"], "protocol": each["protocol"], "bind": each["bind"]}
                    | {"connections": 0, "accepted": 0, "requests": 0}
                    for each in self.document["listeners"]
                ],
                "pools": [
                    {
                        "name": each["name"],
                        "balance": each["balance"],
                        "fallback": each["fallback"],
                        "serving": "healthy",
                        "levels": [],
                    }
                    | {"endpoints": self._endpoints(each)}
                    for each in self.document["pools"]
                ],
            }
        )

    def metrics(self) -> str:
        return "# TYPE evenly_requests_total counter\nevenly_requests_total 0\n"

    def events(self, timeout_ms: int) -> str:
        self._event.wait(timeout_ms / 1000)
        events, self.waiting_events = self.waiting_events, []
        self._event.clear()
        return json.dumps(events)

    def emit(self, event: dict[str, Any]) -> None:
        """Lets an event happen."""
        self.waiting_events.append(event)
        self._event.set()

    def set_endpoint(self, pool: str, address: str, state: str, weight: int | None) -> None:
        self.calls.append(f"set_endpoint {pool} {address} {state} {weight}")
        self.states[pool, address] = (state, weight)

    def evacuate(self, zone: str, time_ms: int | None) -> None:
        self.calls.append(f"evacuate {zone} {time_ms}")
        if time_ms is None:
            del self.evacuated[zone]
        else:
            self.evacuated[zone] = time.time() + time_ms / 1000

    def sockets(self) -> list[tuple[str, list[int]]]:
        return []

    def health(self) -> str:
        return '{"kept": true}'

    def reopen_logs(self) -> None:
        self.calls.append("reopen_logs")

    def drain(self) -> None:
        self.calls.append("drain")

    def connections(self) -> int:
        return self.open_connections

    def stop(self) -> None:
        self.calls.append("stop")
        self._event.set()

    def _zones(self) -> list[str]:
        found = {each["zone"] for pool in self.document["pools"] for each in pool["endpoints"]}
        return sorted(zone for zone in found if zone is not None)

    def _endpoints(self, pool: dict[str, Any]) -> list[dict[str, Any]]:
        found = []
        for endpoint in pool["endpoints"]:
            state, weight = self.states.get((pool["name"], endpoint["address"]), ("ready", None))
            weight = endpoint["weight"] if weight is None else weight
            found.append(
                {"address": endpoint["address"], "weight": weight, "backup": endpoint["backup"], "share": 100}
                | {
                    "zone": endpoint["zone"],
                    "priority": endpoint["priority"],
                    "evacuated": endpoint["zone"] in self.evacuated,
                }
                | {"state": "healthy" if state == "ready" else state, "reason": "", "since": 0.0}
                | {"in_flight": 0, "requests": 0, "failures": 0}
            )
        return found


class SilentAdmin:
    """An admin server that nobody can ask; remembers what became of it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.calls: list[str] = []

    @classmethod
    def open(cls, settings: Any, inherited: tuple[str, int] | None = None) -> "SilentAdmin":
        if inherited is not None:
            os.close(inherited[1])
        return cls(str(settings.bind))

    def descriptor(self) -> int:
        return os.open(os.devnull, os.O_RDONLY)

    async def start(self, supervisor: object) -> None:
        self.calls.append("start")

    def abandon(self) -> None:
        self.calls.append("abandon")

    def retire(self) -> None:
        self.calls.append("retire")

    async def close(self, *, handed_over: bool) -> None:
        self.calls.append(f"close handed_over={handed_over}")
