"""What the configuration wants issued, with every default in its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evenly.certificates.directory import DirectoryStore
from evenly.certificates.store import Store
from evenly.config import Loaded
from evenly.config.acme_checks import challenge_of, issuers_of
from evenly.config.schema import AcmeCertificate, CertifiedHost, Challenge, ResolverAddress
from evenly.config.schema.dns_challenge import DnsChallenge


@dataclass(frozen=True)
class WantedIssuer:
    """An issuer, and how its account is to be."""

    name: str
    directory: str
    """A URL."""
    ca: Path | None
    email: str | None
    external_account: tuple[str, Path] | None = None
    """The key's identifier, and its file."""
    resolver: ResolverAddress | None = None
    """Who is asked for CAA records; `None` is the system."""


@dataclass(frozen=True)
class Wanted:
    """One certificate."""

    name: str
    hosts: tuple[str, ...]
    key_type: str
    challenge: Challenge
    dns: DnsChallenge | None
    """How records get into the DNS, where that is the challenge."""
    base: Path
    """Where relative paths start."""
    issuers: tuple[WantedIssuer, ...]
    """In the order in which they are asked; at least one."""


def wanted(loaded: Loaded) -> dict[str, Wanted]:
    """Every certificate that is to be issued over ACME, by name."""
    return {
        name: _wanted(loaded, name, each.acme, each.acme.hosts)
        for name, each in loaded.settings.certificates.items()
        if each.acme is not None and each.acme.on_demand is None
    }


def wanted_on_demand(loaded: Loaded, name: str, host: str) -> Wanted:
    """One for a host, on demand of the certificate of this name."""
    acme = loaded.settings.certificates[name].acme
    # Nobody asks for one of another kind.
    assert acme is not None  # noqa: S101
    return _wanted(loaded, f"{name}/{host}", acme, [CertifiedHost.parse(host)])


def store_of(loaded: Loaded) -> Store | None:
    """Where they are kept; `None` where nothing is wanted that would have to be."""
    settings = loaded.settings
    name = settings.acme.store
    if name is None and settings.state_dir is not None:
        name = f"{settings.state_dir}/acme"
    return None if name is None else DirectoryStore((loaded.source.directory / name).resolve())


def _wanted(loaded: Loaded, name: str, acme: AcmeCertificate, hosts: Sequence[CertifiedHost]) -> Wanted:
    settings = loaded.settings

    def issuer(name: str) -> WantedIssuer:
        options = settings.acme.issuers[name]
        ca = None if options.ca is None else (loaded.source.directory / options.ca).resolve()
        account = options.external_account
        bound = None if account is None else (account.key_id, (loaded.source.directory / account.key_file).resolve())
        return WantedIssuer(name, options.directory, ca, settings.acme.email, bound, settings.acme.resolver)

    return Wanted(
        name,
        tuple(str(host) for host in hosts),
        acme.key_type,
        challenge_of(settings, acme),
        settings.acme.dns if challenge_of(settings, acme) == "dns-01" else None,
        loaded.source.directory,
        tuple(issuer(each) for each in issuers_of(settings, acme)),
    )
