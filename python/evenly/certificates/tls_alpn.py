"""What an issuer is shown that asks for a host over TLS (`tls-alpn-01`, RFC 8737): a certificate that nobody else would
take, with a hash of the answer in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509

from evenly.config.self_signed import Pem, self_signed

IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
"""id-pe-acmeIdentifier (section 6.1)."""

_OCTETS = b"\x04\x20"
"""The DER head of 32 bytes."""


def challenge_certificate(host: str, answer: str) -> Pem:
    """For the time that it takes the issuer to look; `answer` is the key authorization."""
    proof = x509.UnrecognizedExtension(IDENTIFIER, _OCTETS + sha256(answer.encode()).digest())
    return self_signed("Evenly challenge", [host], datetime.now(UTC), timedelta(days=1), proof)
