"""Dynamic updates of the DNS (RFC 2136), signed with TSIG (RFC 8945)."""

from __future__ import annotations

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsigkeyring
import dns.update

from evenly.config.schema.dns_challenge import DynamicUpdate

SECONDS = 10.0
"""For one answer of the zone's primary server."""


class DynamicUpdates:
    """A `Provider`."""

    def __init__(self, options: DynamicUpdate, secret: str) -> None:
        """Raises `ValueError` for a secret that is not base64."""
        self._options = options
        self._keyring = dns.tsigkeyring.from_text({options.key_name: secret})

    def add(self, name: str, value: str) -> None:
        """As `Provider` says."""
        update = self._update(name)
        update.add(dns.name.from_text(name), self._options.ttl, "TXT", f'"{value}"')
        self._send(update)

    def remove(self, name: str, value: str) -> None:
        """As `Provider` says."""
        update = self._update(name)
        update.delete(dns.name.from_text(name), "TXT", f'"{value}"')
        self._send(update)

    def _update(self, name: str) -> dns.update.UpdateMessage:
        zone = self._options.zone or self._zone(name)
        return dns.update.UpdateMessage(zone, keyring=self._keyring, keyalgorithm=self._options.algorithm)

    def _zone(self, name: str) -> str:
        """The zone that a name is in: the server names it with its answer, or in place of one (RFC 2308, section 3)."""
        question = dns.message.make_query(name, "SOA")
        server = self._options.server
        answer = dns.query.tcp(question, server.ip, port=server.port, timeout=SECONDS)
        for section in (answer.answer, answer.authority):
            for found in section:
                if found.rdtype == dns.rdatatype.SOA:
                    return found.name.to_text()
        raise ValueError(f"{server} knows no zone for {name} ({dns.rcode.to_text(answer.rcode())}); set `zone`")

    def _send(self, update: dns.update.UpdateMessage) -> None:
        server = self._options.server
        answer = dns.query.tcp(update, server.ip, port=server.port, timeout=SECONDS)
        if answer.rcode() != dns.rcode.NOERROR:
            raise ValueError(f"{server} refused the update: {dns.rcode.to_text(answer.rcode())}")
