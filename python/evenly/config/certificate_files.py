"""Reads certificates and their keys, and finds out what is wrong with them before anybody is shown one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from . import pem
from .files import open_file
from .load import Loaded
from .problems import Place, Problem
from .schema import Certificate, Settings
from .self_signed import Pem, for_development, placeholder

LARGEST_FILE = 1 << 20
"""Bytes. A long chain takes ten thousand."""

SMALLEST_RSA_BITS = 2048
"""Clients refuse smaller ones (NIST SP 800-57; so do rustls and OpenSSL at its usual level)."""

Problems = list[tuple[Place, str]]


@dataclass(frozen=True)
class CertificateFacts:
    """A certificate, as far as people ask for it."""

    names: list[str]
    """Host names and addresses that it is for."""
    subject: str
    issuer: str
    key: str
    """Kind and size: `ECDSA P-256`."""
    begins: datetime
    expires: datetime
    must_staple: bool = False
    """Whether clients refuse it unless they are shown that it is not revoked (TLS feature, RFC 7633)."""

    def out_of_time(self, now: datetime) -> str:
        """Why clients refuse it now; empty if it is valid."""
        if self.expires <= now:
            return f"expired on {self.expires:%Y-%m-%d %H:%M} UTC"
        return f"is not valid before {self.begins:%Y-%m-%d %H:%M} UTC" if self.begins > now else ""


Origin = Literal["files", "acme", "placeholder", "self-signed"]
"""Where a certificate comes from; a placeholder stands in for one that was not issued yet."""


@dataclass(frozen=True)
class ResolvedCertificate:
    """A certificate that is ready to be shown."""

    chain: str
    key: str = field(repr=False)
    facts: CertificateFacts
    origin: Origin = "files"

    @property
    def hosts(self) -> list[str]:
        """The names that clients can ask for: addresses are never asked for."""
        return [name for name in self.facts.names if not _is_address(name)]


def certificate_files(settings: Settings) -> list[str]:
    """Every file with a certificate or a key."""
    return [name for each in settings.certificates.values() for name in each.files or ()]


def read_certificates(
    loaded: Loaded, issued: Mapping[str, Pem] | None = None
) -> tuple[dict[str, ResolvedCertificate], Problems]:
    """Reads them all; what is wrong with them. Those of `issued` stand for hosts over ACME, by name. Blocking."""
    problems = Problems()

    def read(name: str, each: Certificate) -> ResolvedCertificate | None:
        if each.self_signed is not None:
            return _of_pem(for_development(tuple(each.self_signed)), "self-signed")
        if each.acme is None:
            return _read(loaded, name, each, problems)
        # On demand there is none of this name itself; what stands in is for clients that get none of those.
        hosts = tuple(str(host) for host in each.acme.hosts) or ("on-demand.invalid",)
        return of_issued((issued or {}).get(name)) or _of_pem(placeholder(hosts), "placeholder")

    found = {name: read(name, each) for name, each in loaded.settings.certificates.items()}
    return {name: each for name, each in found.items() if each is not None}, problems


def of_issued(issued: Pem | None) -> ResolvedCertificate | None:
    """One that an issuer gave us; `None` if there is none, or none that is any good."""
    return None if issued is None else _of_pem(issued, "acme")


def _of_pem(own: Pem, origin: Origin) -> ResolvedCertificate | None:
    problems = Problems()
    found = _checked(own.chain.encode(), own.key.encode(), ("its chain", "its key"), ((), ()), problems)
    return None if found is None else replace(found, origin=origin)


def remarks(loaded: Loaded, certificates: dict[str, ResolvedCertificate], now: datetime) -> list[Problem]:
    """What is wrong with certificates that can be shown nevertheless."""

    def of_one(name: str, facts: CertificateFacts) -> Iterator[Problem]:
        own: Place = ("acme", "hosts") if loaded.settings.certificates[name].acme else ("cert",)
        place: Place = ("certificates", name, *own)
        if why := facts.out_of_time(now):
            yield loaded.source.problem(place, f"{why}: clients will refuse it")
        if not facts.names:
            yield loaded.source.problem(place, "names no host and no address: clients will refuse it")
        if facts.must_staple and not loaded.settings.certificates[name].ocsp_stapling:
            place = ("certificates", name, "ocsp_stapling")
            yield loaded.source.problem(place, "the certificate says that it must be stapled: clients will refuse it")

    shown = {name: each.facts for name, each in certificates.items() if each.origin != "placeholder"}
    return [problem for name, facts in shown.items() for problem in of_one(name, facts)]


def worse(
    shown: Mapping[str, ResolvedCertificate], found: Mapping[str, ResolvedCertificate], now: datetime
) -> tuple[Problems, datetime | None]:
    """Which replaced files clients would refuse, while they take what is shown; when the first of them is valid."""
    problems, begins = Problems(), list[datetime]()
    for name, each in found.items():
        before, why = shown.get(name), each.facts.out_of_time(now)
        if each.origin != "files" or not why or before is None or before.facts.out_of_time(now):
            continue
        problems.append((("certificates", name, "cert"), f"{why}, and the one that is shown is valid"))
        if each.facts.begins > now:
            begins.append(each.facts.begins)
    return problems, min(begins, default=None)


def must_staple(certificate: x509.Certificate) -> bool:
    """Whether clients are to refuse it without its issuer's word that it is not revoked (TLS feature, RFC 7633)."""
    try:
        features = certificate.extensions.get_extension_for_class(x509.TLSFeature).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return x509.TLSFeatureType.status_request in features


def _read(loaded: Loaded, name: str, certificate: Certificate, problems: Problems) -> ResolvedCertificate | None:
    files = certificate.files
    if files is None:
        return None
    places: tuple[Place, Place] = (("certificates", name, "cert"), ("certificates", name, "key"))
    chain = read_pem(loaded.source.directory / files[0], places[0], problems)
    key = read_pem(loaded.source.directory / files[1], places[1], problems)
    return None if chain is None or key is None else _checked(chain, key, files, places, problems)


def _checked(
    chain: bytes, key: bytes, names: tuple[str, str], places: tuple[Place, Place], problems: Problems
) -> ResolvedCertificate | None:
    """A chain and a key that belong together; `names` and `places` are those of both, for what is wrong with them."""
    certificates = _chain(chain, names[0], places[0], problems)
    private = _private_key(key, names[1], places[1], problems)
    if not certificates or private is None:
        return None
    own, format_ = certificates[0].public_key(), PublicFormat.SubjectPublicKeyInfo
    if own.public_bytes(Encoding.DER, format_) != private.public_key().public_bytes(Encoding.DER, format_):
        message = f"{names[1]} is not the key of the certificate in {names[0]}"
        if any(other.public_key() == private.public_key() for other in certificates[1:]):
            message += "; its certificate is there, but not the first"
        problems.append((places[1], message))
        return None
    return ResolvedCertificate(chain.decode(), key.decode(), _facts(certificates[0], private))


def read_pem(path: Path, place: Place, problems: Problems) -> bytes | None:
    """A file's content, which is ASCII."""
    try:
        with open_file(path) as file:
            raw = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        problems.append((place, f"{path} cannot be read: {reason or error}"))
        return None
    if len(raw) > LARGEST_FILE:
        problems.append((place, f"{path} is larger than {LARGEST_FILE >> 20} MiB"))
    elif not raw.isascii():
        line = next(number for number, line in enumerate(raw.splitlines(), start=1) if not line.isascii())
        problems.append((place, f"{path}: line {line} is not PEM: it has bytes that are not ASCII"))
    else:
        return raw
    return None


def _chain(text: bytes, name: str, place: Place, problems: Problems) -> list[x509.Certificate]:
    """The certificates of a file, if each was issued by the one behind it."""
    try:
        certificates = x509.load_pem_x509_certificates(text)
    except (ValueError, UnsupportedAlgorithm):
        why = pem.fault(text.decode(), pem.CERTIFICATE)
        problems.append((place, f"{name} has no certificate that can be read: {why}"))
        return []
    for number, (issued, issuer) in enumerate(pairwise(certificates), start=1):
        try:
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            message = (
                f"{name} is out of order: certificate {number} ({_short(issued.subject)}) was not issued by "
                f"certificate {number + 1} ({_short(issuer.subject)}), but by {_short(issued.issuer)}"
            )
            problems.append((place, message))
            return []
    return certificates


def _private_key(
    text: bytes, name: str, place: Place, problems: Problems
) -> EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey | None:
    try:
        key = load_pem_private_key(text, password=None)
    except TypeError:
        problems.append((place, f"{name} is encrypted, and nobody is there to be asked for the passphrase"))
        return None
    except (ValueError, UnsupportedAlgorithm):
        why = pem.fault(text.decode(), pem.PRIVATE_KEY)
        problems.append((place, f"{name} has no private key that can be read: {why}"))
        return None
    if not isinstance(key, EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey):
        problems.append((place, f"{name} has a key of a kind that no client accepts; use ECDSA, RSA or Ed25519"))
        return None
    if isinstance(key, RSAPrivateKey) and key.key_size < SMALLEST_RSA_BITS:
        message = f"{name} has an RSA key of {key.key_size:,} bits; clients refuse fewer than {SMALLEST_RSA_BITS:,}"
        problems.append((place, message))
        return None
    return key


def _facts(
    certificate: x509.Certificate, key: EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey
) -> CertificateFacts:
    return CertificateFacts(
        _names(certificate),
        _short(certificate.subject),
        _short(certificate.issuer),
        _kind(key),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc.astimezone(UTC),
        must_staple(certificate),
    )


def _names(certificate: x509.Certificate) -> list[str]:
    """Browsers go by these alone, and not by the subject (RFC 9525, section 2)."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    hosts = extension.value.get_values_for_type(x509.DNSName)
    return [*hosts, *(str(address) for address in extension.value.get_values_for_type(x509.IPAddress))]


def _kind(key: EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey) -> str:
    if isinstance(key, RSAPrivateKey):
        return f"RSA {key.key_size}"
    if isinstance(key, Ed25519PrivateKey):
        return "Ed25519"
    return f"ECDSA {_CURVES.get(key.curve.name, key.curve.name)}"


_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


def _short(name: x509.Name) -> str:
    """The name that people go by."""
    for kind in (x509.NameOID.COMMON_NAME, x509.NameOID.ORGANIZATION_NAME):
        found = name.get_attributes_for_oid(kind)
        if found:
            return str(found[0].value)
    return name.rfc4514_string() or "no name"


def _is_address(name: str) -> bool:
    return ":" in name or name.rpartition(".")[2].isdigit()
