"""Certificates that vouch for themselves: what stands in until an issued one is there."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .schema.words import parse_ip

PLACEHOLDER = "Evenly placeholder, no certificate yet"
"""The subject and issuer of one: who looks at it sees at once what it is."""

DEVELOPMENT = "Evenly development certificate, not trusted"
"""The subject and issuer of one for development."""

_REMEMBERED = 1024
"""Certificates without which a reload would make a new key for each, and close nothing but look like a change."""


@dataclass(frozen=True)
class Pem:
    """A chain and its key."""

    chain: str
    key: str = field(repr=False)


@lru_cache(_REMEMBERED)
def for_development(hosts: tuple[str, ...]) -> Pem:
    """A certificate for these hosts and addresses, of which everybody can see what it is; the same one for as long as
    the process lives."""
    return self_signed(DEVELOPMENT, hosts, datetime.now(UTC), timedelta(days=365))


@lru_cache(_REMEMBERED)
def placeholder(hosts: tuple[str, ...]) -> Pem:
    """A certificate for these hosts that nobody trusts; the same one for as long as the process lives."""
    # No time counts for it: it is never trusted, and never renewed.
    return self_signed(PLACEHOLDER, hosts, datetime.now(UTC), timedelta(days=3650))


def self_signed(
    subject: str, hosts: Sequence[str], now: datetime, time: timedelta, proof: x509.ExtensionType | None = None
) -> Pem:
    """A certificate for these hosts that its own key has signed, with a new key; `proof` is what it shows besides."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now - timedelta(hours=1), now + time
    )

    def general(host: str) -> x509.GeneralName:
        address = parse_ip(host)
        return x509.DNSName(host) if address is None else x509.IPAddress(address)

    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectAlternativeName([general(host) for host in hosts]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
    ]
    extensions += [] if proof is None else [(proof, True)]
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, is_critical)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pem(builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode(), private.decode())
