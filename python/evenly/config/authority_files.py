"""Reads whose certificates are believed: those of endpoints, by pool, and those of clients, by listener."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from . import pem
from .certificate_files import Problems, read_pem
from .load import Loaded
from .problems import Place, Problem
from .schema import ListenerTls, Settings, UdpListener

_LIST = re.compile(r"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


@dataclass(frozen=True)
class Clients:
    """Whose certificates a listener believes, as PEM."""

    authorities: str
    revoked: str | None
    """Revocation lists."""
    lists_end: datetime | None
    """When the first of them should have been replaced."""


@dataclass(frozen=True)
class Authorities:
    """Those that the configuration names; pools that name none go by the system."""

    pools: dict[str, str]
    """As PEM, by pool."""
    clients: dict[str, Clients]
    """By listener."""


def authority_files(settings: Settings) -> list[str]:
    """Every file that is read here."""
    pools = [pool.tls.ca for pool in settings.pools.values() if pool.tls is not None]
    clients = [name for _, tls in _listeners(settings) for name in (tls.client_ca, tls.crl)]
    return list(dict.fromkeys(name for name in (*pools, *clients) if name is not None))


def read_authorities(loaded: Loaded) -> tuple[Authorities, Problems]:
    """Reads them all; what is wrong with them. Blocking."""
    problems, pools, clients = Problems(), dict[str, str](), dict[str, Clients]()
    for name, pool in loaded.settings.pools.items():
        if pool.tls is not None and pool.tls.ca is not None:
            pools[name] = _bundle(loaded, ("pools", name, "tls", "ca"), pool.tls.ca, problems)
    for name, tls in _listeners(loaded.settings):
        if tls.client_ca is not None:
            place: Place = ("listeners", name, "tls")
            bundle = _bundle(loaded, (*place, "client_ca"), tls.client_ca, problems)
            revoked = (None, None) if tls.crl is None else _lists(loaded, (*place, "crl"), tls.crl, problems)
            clients[name] = Clients(bundle, *revoked)
    return Authorities(pools, clients), problems


def remarks(loaded: Loaded, authorities: Authorities, now: datetime) -> list[Problem]:
    """What is wrong with lists that are used nevertheless."""
    return [
        loaded.source.problem(
            ("listeners", name, "tls", "crl"),
            f"should have been replaced by {each.lists_end:%Y-%m-%d %H:%M} UTC: who was revoked since is still let in",
        )
        for name, each in authorities.clients.items()
        if each.lists_end is not None and each.lists_end <= now
    ]


def _listeners(settings: Settings) -> Iterator[tuple[str, ListenerTls]]:
    for name, listener in settings.listeners.items():
        if not isinstance(listener, UdpListener) and listener.tls is not None:
            yield name, listener.tls


def _bundle(loaded: Loaded, place: Place, name: str, problems: Problems) -> str:
    raw = read_pem(loaded.source.directory / name, place, problems)
    if raw is None:
        return ""
    try:
        x509.load_pem_x509_certificates(raw)
    except (ValueError, UnsupportedAlgorithm):
        why = pem.fault(raw.decode(), pem.CERTIFICATE)
        problems.append((place, f"{name} has no certificate that can be read: {why}"))
    return raw.decode()


def _lists(loaded: Loaded, place: Place, name: str, problems: Problems) -> tuple[str, datetime | None]:
    raw = read_pem(loaded.source.directory / name, place, problems)
    if raw is None:
        return "", None
    text = raw.decode()
    try:
        lists = [x509.load_pem_x509_crl(each.encode()) for each in _LIST.findall(text)]
    except (ValueError, UnsupportedAlgorithm):
        why = pem.fault(text, pem.REVOCATION_LIST)
        problems.append((place, f"{name} has a revocation list that cannot be read: {why}"))
        return text, None
    if not lists:
        problems.append((place, f"{name} has no revocation list"))
    ends = [each.next_update_utc for each in lists if each.next_update_utc is not None]
    return text, min(ends, default=None)
