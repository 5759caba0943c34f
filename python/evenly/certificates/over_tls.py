"""The answer to the challenge `tls-alpn-01`: a certificate that says so (RFC 8737, section 3). Pure."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from evenly.config.self_signed import Pem

ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
"""Of the extension with the answer (RFC 8737, section 6.1)."""

_OCTET_STRING = 4
"""DER's tag of what the extension holds."""

LIFE = timedelta(days=7)
"""Nobody looks at it; questions are over within minutes."""


def answer_over_tls(host: str, key_authorization: str, now: datetime) -> Pem:
    """A certificate for one host, signed by its own key, which is a new one."""
    digest = hashlib.sha256(key_authorization.encode()).digest()
    proof = x509.UnrecognizedExtension(ACME_IDENTIFIER, bytes([_OCTET_STRING, len(digest)]) + digest)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Evenly, asked by an issuer")])
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now - timedelta(hours=1), now + LIFE
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(proof, critical=True)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pem(certificate.public_bytes(Encoding.PEM).decode(), private.decode())
