"""Whether the DNS allows an issuer to issue for a host (CAA, RFC 8659), found out before it is asked.

The issuer looks itself, and has the last word: what cannot be looked up here is left to it. But it counts refusals
against its limits, and says less about them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import dns.exception
import dns.name
import dns.resolver
from dns.rdtypes.ANY.CAA import CAA

from evenly.certificates.issue_error import IssueError
from evenly.config.schema import ResolverAddress

SECONDS = 3.0
"""For one question. A name server that takes longer is slower than the issuer's patience, too."""

Records = Sequence[tuple[str, str]]
"""Tag and value of each record of a name."""

Look = Callable[[str], Records]
"""The CAA records of one name; none if it has none, or nobody knows."""


def check(hosts: Sequence[str], identities: Sequence[str], issuer: str, look: Look) -> None:
    """Raises `IssueError` for the first host that an issuer known by these names may not issue for."""
    for host in hosts:
        where, allowed = _allowed(host, look)
        if allowed is not None and not allowed & set(identities):
            who = ", ".join(sorted(allowed)) or "nobody"
            message = (
                f"the CAA records of {where} allow {who} to issue for {host}, and {issuer} is {' or '.join(identities)}"
            )
            raise IssueError(message)


def looking(server: ResolverAddress | None) -> Look:
    """Asks this server, or those of the system. Blocking."""
    try:
        resolver = dns.resolver.Resolver(configure=server is None)
    except dns.exception.DNSException:
        # A machine without name servers.
        return lambda _: ()
    if server is not None:
        resolver.nameservers, resolver.port = [server.ip], server.port
    resolver.lifetime = SECONDS

    def look(name: str) -> Records:
        try:
            answer = resolver.resolve(dns.name.from_text(name), "CAA", raise_on_no_answer=False)
        except dns.exception.DNSException:
            return ()
        found = [record for record in answer if isinstance(record, CAA)]
        return [
            (record.tag.decode(errors="replace").lower(), record.value.decode(errors="replace")) for record in found
        ]

    return look


def _allowed(host: str, look: Look) -> tuple[str, set[str] | None]:
    """The name whose records count, and the issuers that they allow; `None` is everybody (section 3)."""
    name = host.removeprefix("*.")
    while name:
        records = look(name)
        if records:
            tags = {tag for tag, _ in records}
            # For wildcards, `issuewild` goes before `issue` (section 4.3).
            wanted = "issuewild" if host.startswith("*.") and "issuewild" in tags else "issue"
            if wanted not in tags:
                return name, None
            values = (value.partition(";")[0].strip().lower() for tag, value in records if tag == wanted)
            return name, {value for value in values if value}
        name = name.partition(".")[2]
    return host, None
