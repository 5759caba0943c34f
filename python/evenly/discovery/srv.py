"""Endpoints from SRV records (RFC 2782): each record's target has addresses, a port, a weight and a priority."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import dns.asyncresolver

from evenly.config.schema import Endpoint, SrvDiscovery
from evenly.discovery.dns import EMPTY_TTL, ask, look_up, nothing_if_meant, pause, resolver_for
from evenly.discovery.entries import usable
from evenly.discovery.source import Place, Report, SourceError, Unusable, endpoint

QUESTIONS_AT_ONCE = 16
"""Targets that are looked up at the same time; a DNS server that is asked for a thousand at once drops some."""

SMALL_CHANCE = 100
"""By how much the other weights grow beside records of weight 0, which RFC 2782 gives "a very small chance"."""

LARGEST_WEIGHT = 65_535

LAST_PRIORITY = 255
"""The highest that an endpoint can have; nobody has records of so many."""


@dataclass(frozen=True, slots=True)
class Record:
    """What of an SRV record matters here."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True)
class SrvSource:
    """One name."""

    options: SrvDiscovery
    place: Place

    @property
    def name(self) -> str:
        """What is asked."""
        return f"srv {self.options.name}"

    async def watch(self, report: Report) -> None:
        """Asks for the records and their targets, reports, and waits for the shortest of their TTLs."""
        while True:
            endpoints, unusable, ttl = await self._ask()
            report(endpoints, unusable)
            await asyncio.sleep(pause(self.options, ttl))

    async def _ask(self) -> tuple[list[Endpoint], Unusable, int]:
        options = self.options
        resolver = resolver_for(options)
        try:
            answer = await ask(resolver, options.name, "SRV", search=options.resolver is None)
        except SourceError as error:
            nothing_if_meant(error, options)
            return [], Unusable(), EMPTY_TTL
        if answer.rrset is None:
            return [], Unusable(), EMPTY_TTL
        named = [Record(each.priority, each.weight, each.port, str(each.target)) for each in answer.rrset]
        records = usable_records(named, options.max_endpoints)
        addresses, ttl = await self._targets(resolver, {record.target for record in records})
        weights = weights_of(records, options.weight)
        levels = levels_of(record.priority for record in records if addresses[record.target])

        def understand(found: tuple[Record, int, str]) -> Endpoint:
            record, weight, address = found
            name = record.target.rstrip(".")
            return endpoint(address, record.port, weight, priority=levels[record.priority], sni=name)

        each = [
            (record, weight, address)
            for record, weight in zip(records, weights, strict=True)
            for address in addresses[record.target]
        ]
        endpoints, unusable = usable(each, understand, lambda found: found[0].target, "an SRV record")
        return endpoints, unusable, min(answer.chaining_result.minimum_ttl, ttl)

    async def _targets(
        self, resolver: dns.asyncresolver.Resolver, targets: set[str]
    ) -> tuple[dict[str, list[str]], int]:
        """Addresses by target, and the shortest of their TTLs."""
        turn = asyncio.Semaphore(QUESTIONS_AT_ONCE)

        async def addresses(target: str) -> tuple[list[str], int]:
            async with turn:
                try:
                    return await look_up(resolver, target, self.options)
                except SourceError as error:
                    # A target that is gone for good must not hold up the others.
                    if error.reason == "nxdomain":
                        return [], EMPTY_TTL
                    raise

        names = sorted(targets)
        answers = await asyncio.gather(*map(addresses, names), return_exceptions=True)
        found, shortest = dict[str, list[str]](), self.options.ttl_max.milliseconds // 1000 + 1
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            found[name] = answer[0]
            shortest = min(shortest, answer[1])
        return found, shortest


def usable_records(records: list[Record], most: int) -> list[Record]:
    """Records that name something, by priority, at most so many; "." as target says that there is no such service."""
    named = [record for record in records if record.target != "." and record.port > 0]
    return sorted(named, key=lambda record: (record.priority, -record.weight, record.target, record.port))[:most]


def levels_of(priorities: Iterable[int]) -> dict[int, int]:
    """The priority of endpoints by that of their records: of those, only the order matters, and the first is 0."""
    return {priority: min(place, LAST_PRIORITY) for place, priority in enumerate(sorted(set(priorities)))}


def weights_of(records: list[Record], default: int) -> list[int]:
    """The weight of each record's endpoints. If none of its priority says a weight, each has the default."""
    said = {record.priority: False for record in records}
    silent = dict(said)
    for record in records:
        said[record.priority] |= record.weight > 0
        silent[record.priority] |= record.weight == 0

    def weight(record: Record) -> int:
        if not said[record.priority]:
            return default
        if not silent[record.priority]:
            return record.weight
        return min(LARGEST_WEIGHT, record.weight * SMALL_CHANCE) or 1

    return [weight(record) for record in records]
