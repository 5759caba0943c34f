"""Endpoints from the running containers that carry a label, over Docker's Unix socket.

Events say when to list again; the list alone is believed. The events are subscribed to before the first list, so that
nothing that happens between the two is missed. API: `GET /containers/json`, `GET /events`, as in every version since
1.21; Podman's compatible API has them too.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evenly.config.schema import DockerDiscovery, Endpoint
from evenly.discovery.client import check_status, client, failure, fetch
from evenly.discovery.entries import listed, usable
from evenly.discovery.source import Place, Report, SourceError, Unusable, endpoint

if TYPE_CHECKING:
    import httpx

LARGEST_LIST = 16 << 20
"""Bytes. A container takes about two KiB."""

SETTLE_SECONDS = 0.1
"""Between an event and the list: a deployment sends volleys, and one list answers for all of them."""

LONGEST_EVENT = 1 << 20
"""Bytes between two ends of lines; labels are in each event, so it has to be generous."""

EVENTS = ["start", "die", "pause", "unpause", "rename", "health_status"]
"""Those after which the list may differ. Docker matches `health_status: healthy` by its first word."""

PORT_LABEL = "evenly.port"
WEIGHT_LABEL = "evenly.weight"
ZONE_LABEL = "evenly.zone"


@dataclass(frozen=True)
class DockerSource:
    """One Docker and one label."""

    options: DockerDiscovery
    place: Place

    @property
    def name(self) -> str:
        """What is asked."""
        return f"docker {self._label}"

    @property
    def _label(self) -> str:
        return self.options.label or f"evenly.pool={self.place.pool}"

    async def watch(self, report: Report) -> None:
        """Subscribes, lists, and lists again after each volley of events, or when `interval` has passed."""
        happened = asyncio.Event()
        async with client("http://docker", socket=self.options.socket) as asked:
            events = await self._subscribe(asked)
            listening = asyncio.create_task(_listen(events, happened))
            try:
                await self._list_on(asked, report, happened, listening)
            finally:
                listening.cancel()
                # Its stream must not be closed under it.
                await asyncio.gather(listening, return_exceptions=True)
                await events.aclose()

    async def _subscribe(self, asked: httpx.AsyncClient) -> httpx.Response:
        """The stream of events; Docker begins its answer at once, and ends it when the client goes."""
        import httpx

        request = asked.build_request("GET", "/events", params=self._filters(event=EVENTS))
        try:
            async with asyncio.timeout(self.options.timeout.seconds):
                events = await asked.send(request, stream=True)
        except TimeoutError as error:
            raise SourceError("timeout", f"no answer within {self.options.timeout}") from error
        except httpx.HTTPError as error:
            raise failure(error) from error
        check_status(events)
        return events

    async def _list_on(
        self, asked: httpx.AsyncClient, report: Report, happened: asyncio.Event, listening: asyncio.Task[None]
    ) -> None:
        seconds = self.options.timeout.seconds
        filters = self._filters(status=["running"], health=["healthy", "none"])
        while True:
            happened.clear()
            answer = await fetch(asked, "/containers/json", seconds, LARGEST_LIST, params=filters)
            report(*containers(answer.content, self.options))
            waiting = asyncio.create_task(happened.wait())
            try:
                await asyncio.wait(
                    {waiting, listening}, timeout=self.options.interval.seconds, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                waiting.cancel()
            if listening.done():
                # Raises why it ended.
                await listening
            await asyncio.sleep(SETTLE_SECONDS)

    def _filters(self, **more: list[str]) -> dict[str, str]:
        kind = {"type": ["container"]} if "event" in more else {}
        return {"filters": json.dumps(kind | {"label": [self._label]} | more)}


async def _listen(events: httpx.Response, happened: asyncio.Event) -> None:
    """Notes every event, until the stream ends; raises `SourceError` then."""
    import httpx

    unended = 0
    try:
        async for piece in events.aiter_bytes():
            head, newline, rest = piece.rpartition(b"\n")
            unended = len(rest) if newline else unended + len(piece)
            if unended > LONGEST_EVENT:
                raise SourceError("invalid", f"an event of more than {LONGEST_EVENT >> 20} MiB")
            if head or newline:
                happened.set()
    except httpx.HTTPError as error:
        raise failure(error) from error
    raise SourceError("unreachable", "the stream of events ended")


def containers(raw: bytes, options: DockerDiscovery) -> tuple[list[Endpoint], Unusable]:
    """The endpoints that a list holds, and its containers that are none. Raises `SourceError`."""
    what = "what Docker answers for a list of containers"
    return usable(listed(raw, what), lambda entry: _container(entry, options), _name, what)


def _name(entry: dict[str, Any]) -> str:
    name: str = (entry.get("Names") or [entry["Id"][:12]])[0]
    return name.removeprefix("/")


def _container(entry: dict[str, Any], options: DockerDiscovery) -> Endpoint | None:
    """A container's endpoint; `None` for one that has no address in the network, as while it starts or ends."""
    labels = entry.get("Labels") or {}
    networks = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    chosen = [options.network] if options.network is not None else sorted(networks)
    attached = [networks[each] for each in chosen if each in networks]
    addresses = [each.get("IPAddress") or each.get("GlobalIPv6Address") for each in attached]
    address = next((each for each in addresses if each), None)
    if address is None:
        return None
    port = _number(labels, PORT_LABEL, 1, options.port or _exposed(entry))
    weight = _number(labels, WEIGHT_LABEL, 0, options.weight)
    return endpoint(address, port, weight, zone=labels.get(ZONE_LABEL))


def _exposed(entry: dict[str, Any]) -> int | None:
    """The only TCP port that a container exposes. Raises `SourceError` if there is a choice and no label makes it."""
    ports = {each["PrivatePort"] for each in entry.get("Ports") or () if each.get("Type", "tcp") == "tcp"}
    if len(ports) == 1:
        return int(ports.pop())
    if PORT_LABEL in (entry.get("Labels") or {}):
        return None
    found = ", ".join(map(str, sorted(ports))) or "none"
    text = f"expected the label {PORT_LABEL}, the option `port`, or exactly one exposed TCP port; found {found}"
    raise SourceError("invalid", text)


def _number(labels: dict[str, str], label: str, low: int, otherwise: int | None) -> int:
    written = labels.get(label)
    if written is None and otherwise is not None:
        return otherwise
    if written is None or not written.isascii() or not written.isdigit() or not low <= int(written[:6]) <= 65_535:
        raise SourceError("invalid", f"expected an integer from {low} to 65535 in {label}, found {written!r}")
    return int(written)
