"""Endpoints from a name's A and AAAA records, asked for again when their TTL has passed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver

from evenly.config.schema import DnsDiscovery, SrvDiscovery
from evenly.discovery.source import Place, Report, SourceError, endpoint

if TYPE_CHECKING:
    from dns.resolver import Answer

RECORDS = {"any": ("A", "AAAA"), "ipv4": ("A",), "ipv6": ("AAAA",)}

EMPTY_TTL = 5
"""Seconds after which a name without records is asked for again: negative answers are for minutes by their SOA, and a
service that starts would be waited for that long."""

ATTEMPTS = 3
"""How many times a server is asked within `timeout`: one lost datagram must not use up all the time there is."""


@dataclass(frozen=True)
class DnsSource:
    """One name."""

    options: DnsDiscovery
    place: Place

    @property
    def name(self) -> str:
        """What is asked."""
        return f"dns {self.options.name}:{self.options.port}"

    async def watch(self, report: Report) -> None:
        """Asks, reports, and waits for the TTL."""
        options = self.options
        while True:
            try:
                addresses, ttl = await look_up(resolver_for(options), options.name, options)
            except SourceError as error:
                addresses, ttl = nothing_if_meant(error, options), EMPTY_TTL
            report([endpoint(address, options.port, options.weight) for address in addresses])
            await asyncio.sleep(pause(options, ttl))


def nothing_if_meant(error: SourceError, options: DnsDiscovery | SrvDiscovery) -> list[str]:
    """A name that does not exist is an empty answer where the user says that those count; else it is a failure."""
    if error.reason == "nxdomain" and options.when_empty == "apply":
        return []
    raise error


def pause(options: DnsDiscovery | SrvDiscovery, ttl: int) -> float:
    """Seconds until a name is asked for again: its TTL, within bounds."""
    return min(max(float(ttl), options.ttl_min.seconds), options.ttl_max.seconds)


def resolver_for(options: DnsDiscovery | SrvDiscovery) -> dns.asyncresolver.Resolver:
    """Made for each round of questions, so that a changed `/etc/resolv.conf` counts at once. Raises `SourceError`."""
    try:
        resolver = dns.asyncresolver.Resolver(configure=options.resolver is None)
    except (dns.resolver.NoResolverConfiguration, OSError) as error:
        raise SourceError("unreachable", f"/etc/resolv.conf names no DNS server: {error}") from error
    if options.resolver is not None:
        resolver.nameservers = [dns.nameserver.Do53Nameserver(each.ip, each.port) for each in options.resolver]
    resolver.lifetime = options.timeout.seconds
    resolver.timeout = options.timeout.seconds / ATTEMPTS
    return resolver


async def look_up(
    resolver: dns.asyncresolver.Resolver, name: str, options: DnsDiscovery | SrvDiscovery
) -> tuple[list[str], int]:
    """A name's addresses by the families asked for, and their TTL. Raises `SourceError` if a question got no answer.

    One of two families failing is a failure: taking the other's addresses alone would look as if half had left.
    """
    search = options.resolver is None
    questions = [ask(resolver, name, kind, search=search) for kind in RECORDS[options.family]]
    # Every question has ended, well or not, before the first failure is raised: none goes on alone.
    answers = await asyncio.gather(*questions, return_exceptions=True)
    found, ttls = list[str](), list[int]()
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        if answer.rrset is not None:
            found += [record.address for record in answer.rrset]
            # The least of the records' own and those of the aliases on the way to them.
            ttls.append(answer.chaining_result.minimum_ttl)
    return found, min(ttls, default=EMPTY_TTL)


async def ask(resolver: dns.asyncresolver.Resolver, name: str, kind: str, *, search: bool) -> Answer:
    """One question; that a name has no such records is an answer. Raises `SourceError`."""
    try:
        return await resolver.resolve(name, kind, search=search, raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN as error:
        raise SourceError("nxdomain", f"{name} does not exist (NXDOMAIN)") from error
    except dns.exception.Timeout as error:
        raise SourceError("timeout", f"{name} {kind}: no DNS server answered within {resolver.lifetime:g} s") from error
    except dns.resolver.NoNameservers as error:
        raise SourceError("refused", f"{name} {kind}: {_said(error)}") from error
    except dns.exception.DNSException as error:
        raise SourceError("invalid", f"{name} {kind}: {error}") from error
    except OSError as error:
        raise SourceError("unreachable", f"{name} {kind}: {error.strerror or error}") from error


def _said(error: dns.resolver.NoNameservers) -> str:
    """What each server answered: "10.0.0.2:53 answered SERVFAIL"."""
    said = [
        f"{server} answered {failure}" if isinstance(failure, str) else f"{server}: {failure or type(failure).__name__}"
        for server, _, _, failure, _ in error.kwargs.get("errors", ())
    ]
    return "; ".join(dict.fromkeys(said)) or "no DNS server gave an answer"
