"""Endpoints from a service in Consul's catalogue, by blocking queries: Consul answers when something has changed.

<https://developer.hashicorp.com/consul/api-docs/features/blocking>: an index that goes backwards starts anew at 0, one
below 1 counts as 1, and Consul may add up to a sixteenth to `wait`.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from evenly.config.schema import ConsulDiscovery, Endpoint
from evenly.discovery.client import client, fetch, token
from evenly.discovery.entries import listed, usable
from evenly.discovery.source import Place, Report, SourceError, Unusable, endpoint

LARGEST_CATALOGUE = 16 << 20
"""Bytes. An instance takes one to three KiB of JSON, most of it about its checks."""

PAUSE_SECONDS = 0.1
"""Between two queries: a service whose checks flap must not make them a busy loop (the documentation asks for it)."""


ZONE_META = "zone"
"""The key of a service's metadata that names the zone."""


@dataclass(frozen=True)
class ConsulSource:
    """One service."""

    options: ConsulDiscovery
    place: Place

    @property
    def name(self) -> str:
        """What is asked."""
        return f"consul {self.options.service} at {self.options.url}"

    async def watch(self, report: Report) -> None:
        """Asks again with the index of the last answer, for as long as Consul answers."""
        options, directory, index = self.options, self.place.directory, 0
        ca_file = None if options.ca_file is None else directory / options.ca_file
        token_file = None if options.token_file is None else directory / options.token_file
        async with client(str(options.url).rstrip("/"), ca_file) as asked:
            while True:
                secret = await token(token_file)
                headers = {} if secret is None else {"X-Consul-Token": secret}
                held = options.wait.seconds * 17 / 16 if index else 0.0
                path, seconds = f"/v1/health/service/{quote(options.service, safe='')}", held + options.timeout.seconds
                parameters = self._parameters(index)
                answer = await fetch(asked, path, seconds, LARGEST_CATALOGUE, headers=headers, params=parameters)
                report(*instances(answer.content, options))
                index = next_index(index, answer.headers.get("x-consul-index"))
                await asyncio.sleep(PAUSE_SECONDS)

    def _parameters(self, index: int) -> dict[str, str]:
        options = self.options
        asked = {"passing": "1"}
        if index:
            asked |= {"index": str(index), "wait": f"{options.wait.milliseconds}ms"}
        if options.datacenter is not None:
            asked["dc"] = options.datacenter
        if options.tags:
            asked["filter"] = " and ".join(f"{json.dumps(tag)} in Service.Tags" for tag in options.tags)
        return asked


def next_index(last: int, answered: str | None) -> int:
    """The index for the next query; 0 asks without waiting. Raises `SourceError` if Consul gave none."""
    if answered is None or not answered.isascii() or not answered.isdigit():
        raise SourceError("invalid", "the answer has no X-Consul-Index; is that a Consul?")
    index = max(int(answered), 1)
    return 0 if index < last else index


def instances(raw: bytes, options: ConsulDiscovery) -> tuple[list[Endpoint], Unusable]:
    """The endpoints that an answer holds, and its instances that are none. Raises `SourceError`."""
    what = "what Consul answers for a service"
    return usable(listed(raw, what), lambda entry: _instance(entry, options), _name, what)


def _name(entry: dict[str, Any]) -> str:
    return f"{entry['Service']['ID']} on {entry['Node']['Node']}"


def _instance(entry: dict[str, Any], options: ConsulDiscovery) -> Endpoint:
    service = entry["Service"]
    # An instance without an address of its own is reached at its node's.
    host = service.get("Address") or entry["Node"]["Address"]
    weight = (service.get("Weights") or {}).get("Passing", options.weight)
    if not isinstance(weight, int) or isinstance(weight, bool) or not 0 <= weight <= 65_535:
        raise SourceError("invalid", f"expected a weight from 0 to 65535, found {weight!r}")
    zone = (service.get("Meta") or {}).get(ZONE_META)
    return endpoint(str(host), int(service["Port"]), weight, zone=zone)
