"""What is kept of a certificate: as it is written into a store, and read from it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509

from evenly.certificates.store import Store
from evenly.certificates.wanted import Wanted, WantedIssuer
from evenly.config.self_signed import Pem

VERSION = 1
"""Of the texts' form. Another is not guessed at."""


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, and who issued it for what."""

    chain: str
    key: str = field(repr=False)
    hosts: tuple[str, ...]
    key_type: str
    issuer: str
    """Its name in the configuration at that time."""
    directory: str
    """The URL of its directory, which tells one issuer from another of the same name."""

    @property
    def pem(self) -> Pem:
        """As listeners take it."""
        return Pem(self.chain, self.key)

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate itself. Raises `ValueError` if it is none."""
        return x509.load_pem_x509_certificate(self.chain.encode())

    @property
    def life(self) -> tuple[datetime, datetime]:
        """From when until when it is valid."""
        return self.leaf.not_valid_before_utc, self.leaf.not_valid_after_utc

    def satisfies(self, wanted: Wanted) -> bool:
        """Whether it is what the configuration wants; if not, it is shown only until there is one that is."""
        return (
            set(self.hosts) == set(wanted.hosts)
            and self.key_type == wanted.key_type
            and self.directory in {issuer.directory for issuer in wanted.issuers}
        )

    def precedes(self, wanted: Wanted, issuer: WantedIssuer) -> bool:
        """Whether one of this issuer would come in its place (RFC 9773, section 5): for a host in common."""
        return self.directory == issuer.directory and not set(self.hosts).isdisjoint(wanted.hosts)


def load(store: Store, name: str) -> Issued | None:
    """What is kept of a certificate; what cannot be understood counts as nothing. Blocking. Raises `StoreError`."""
    text = store.read(_name(name))
    try:
        return None if text is None else _from_json(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def save(store: Store, name: str, issued: Issued) -> None:
    """Keeps a certificate in the place of the one before. Blocking. Raises `StoreError`."""
    content = {
        "version": VERSION,
        "hosts": list(issued.hosts),
        "key_type": issued.key_type,
        "issuer": issued.issuer,
        "directory": issued.directory,
        "chain": issued.chain,
        "key": issued.key,
    }
    store.write(_name(name), json.dumps(content, indent=1))


def _name(name: str) -> str:
    return f"certificates/{name}"


def _from_json(data: Any) -> Issued:  # noqa: ANN401 - JSON
    if data["version"] != VERSION:
        raise ValueError("of another version")
    issued = Issued(
        str(data["chain"]),
        str(data["key"]),
        tuple(str(host) for host in data["hosts"]),
        str(data["key_type"]),
        str(data["issuer"]),
        str(data["directory"]),
    )
    # A text that is no certificate is found here, and not by whoever asks for its dates.
    issued.leaf.public_key()
    return issued
