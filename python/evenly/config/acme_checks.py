"""What ACME certificates need of the rest of the file."""

from collections.abc import Iterator, Set
from itertools import combinations

from .problems import Place
from .schema import AcmeCertificate, Challenge, HttpListener, Settings, UdpListener
from .schema.dns_challenge import DynamicUpdate


def problems(settings: Settings) -> Iterator[tuple[Place, str]]:
    """What does not fit together: place and message."""
    for name, each in settings.certificates.items():
        if each.acme is None:
            continue
        place: Place = ("certificates", name, "acme")
        if not settings.acme.terms_agreed:
            who = ", ".join(issuers_of(settings, each.acme))
            message = f"needs `terms_agreed = true` under [acme]; read the terms of service first ({who})"
            yield place, message
        if settings.acme.store is None and settings.state_dir is None:
            yield place, "needs a place for keys and certificates: set `state_dir`, or `store` under [acme]"
        yield from _challenge(settings, each.acme, place)
    yield from _on_demand(settings)


def issuers_of(settings: Settings, acme: AcmeCertificate) -> list[str]:
    """The issuers that are asked, in order."""
    return list(settings.acme.issuers) if acme.issuers is None else acme.issuers


def acme_key_files(settings: Settings) -> dict[Place, str]:
    """Files with secrets that ACME needs."""
    files: dict[Place, str] = {}
    if isinstance(settings.acme.dns, DynamicUpdate):
        files["acme", "dns", "key_file"] = settings.acme.dns.key_file
    for name, issuer in settings.acme.issuers.items():
        if issuer.external_account is not None:
            files["acme", "issuers", name, "external_account", "key_file"] = issuer.external_account.key_file
    return files


def challenge_of(settings: Settings, acme: AcmeCertificate) -> Challenge:
    """How its hosts are shown to be ours."""
    return acme.challenge or settings.acme.challenge


def _challenge(settings: Settings, acme: AcmeCertificate, place: Place) -> Iterator[tuple[Place, str]]:
    challenge = challenge_of(settings, acme)
    if challenge == "dns-01":
        if settings.acme.dns is None:
            yield place, 'the challenge "dns-01" needs `dns` under [acme], which says how records get into the DNS'
        return
    wildcards = [str(host) for host in acme.hosts if host.is_wildcard]
    if wildcards:
        message = f'the challenge "{challenge}" cannot show that a wildcard is yours ({wildcards[0]}); "dns-01" can'
        yield (*place, "hosts"), message
    if challenge == "tls-alpn-01":
        streams = (each for each in settings.listeners.values() if not isinstance(each, UdpListener))
        if all(each.tls is None for each in streams):
            yield place, 'the challenge "tls-alpn-01" is answered on listeners with TLS (port 443), and there is none'
        return
    plain = (each for each in settings.listeners.values() if isinstance(each, HttpListener) and each.tls is None)
    if next(plain, None) is None:
        message = 'the challenge "http-01" is answered on HTTP listeners without TLS (port 80), and there is none'
        yield place, message


def _on_demand(settings: Settings) -> Iterator[tuple[Place, str]]:
    """A host is issued for on demand of one certificate: clients do not say which of two they mean."""
    patterns = {
        name: {pattern.lower() for pattern in each.acme.on_demand.hosts}
        for name, each in settings.certificates.items()
        if each.acme is not None and each.acme.on_demand is not None
    }
    for (first, theirs), (second, ours) in combinations(patterns.items(), 2):
        if shared := _shared(theirs, ours):
            message = f'"{min(shared)}" stands for hosts that `certificates.{first}.acme.on_demand` stands for, too'
            yield ("certificates", second, "acme", "on_demand", "hosts"), message


def _shared(ones: Set[str], others: Set[str]) -> Set[str]:
    """Those of the others that stand for a host that one of these stands for."""
    if "*" in ones:
        return others
    above = {f"*.{one.partition('.')[2]}" for one in ones}
    below = {each for each in others if f"*.{each.partition('.')[2]}" in ones}
    return (ones | above | {"*"}) & others | below
