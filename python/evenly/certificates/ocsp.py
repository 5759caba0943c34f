"""What an issuer says of a certificate being revoked (OCSP, RFC 6960), for clients that want to know. Pure.

It is asked for in advance and shown in the handshake ("stapled", RFC 6066, section 8), so that clients need not ask the
issuer, who would learn where they go.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from evenly.config.certificate_files import must_staple

SKEW = timedelta(minutes=5)
"""By which an issuer's clock may be ahead of ours."""

MOST_SIGNERS = 4
"""Certificates of an answer that are tried; responders send one."""


class OcspError(Exception):
    """There is no answer that could be shown; the text says why."""


class RevokedError(OcspError):
    """The issuer says that the certificate is not to be trusted."""


@dataclass(frozen=True)
class Subject:
    """A certificate that is asked about."""

    leaf: x509.Certificate
    issuer: x509.Certificate
    url: str


@dataclass(frozen=True)
class Answer:
    """An issuer's word that a certificate is good."""

    raw: bytes
    """As DER."""
    begins: datetime
    ends: datetime
    """When the issuer will have said something newer; no client believes it later."""

    def ask_again(self, drawn: float) -> datetime:
        """When to ask again: half way, so that there is as long again to try in, and up to a tenth earlier, so that
        certificates that were asked about together are not for ever; `drawn` is from 0 up to 1."""
        return self.begins + (self.ends - self.begins) * (0.5 - drawn / 10)


def subject_of(chain: str) -> Subject | None:
    """Who is to be asked about a chain's certificate; `None` if it names nobody, as is usual by now. Raises `OcspError`
    if that cannot be done."""
    certificates = x509.load_pem_x509_certificates(chain.encode())
    urls = _responders(certificates[0])
    if not urls:
        if must_staple(certificates[0]):
            raise OcspError("it must be stapled, and does not say whom to ask")
        return None
    # Over https, whoever asks would have to ask the same of the responder's certificate (RFC 5019, section 5).
    url = next((each for each in urls if each.startswith("http://")), None)
    if url is None:
        raise OcspError(f"its responder is not asked over http: {urls[0]}")
    if len(certificates) < 2:
        raise OcspError("its issuer is not in the chain, so that no answer could be verified")
    return Subject(certificates[0], certificates[1], url)


def question(subject: Subject) -> bytes:
    """As DER."""
    # SHA-1 is what every responder knows certificates by (RFC 5019, section 2.1.1); nothing rests on it.
    builder = ocsp.OCSPRequestBuilder().add_certificate(subject.leaf, subject.issuer, SHA1())  # noqa: S303
    return builder.build().public_bytes(Encoding.DER)


def judge(raw: bytes, subject: Subject, now: datetime) -> Answer:
    """A responder's answer, if clients will believe it. Raises `OcspError`, and `RevokedError`."""
    try:
        answer = ocsp.load_der_ocsp_response(raw)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise OcspError(f"the responder answers {answer.response_status.name.lower().replace('_', ' ')}")
        single = next((each for each in answer.responses if each.serial_number == subject.leaf.serial_number), None)
        if single is None:
            raise OcspError("the answer is about another certificate")
        # A signature that is not whole bytes (X.690, section 8.6.2) is read as if it were, but not by every client.
        if b"\0" + answer.signature not in raw:
            raise OcspError("the answer's signature is not a number of bytes")
        _verify(answer, subject, now)
        begins, ends = single.this_update_utc, single.next_update_utc
        status, revoked = single.certificate_status, single.revocation_time_utc
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise OcspError(f"the answer cannot be read: {error}") from error
    if ends is None:
        raise OcspError("the answer does not say for how long it is good")
    if begins > now + SKEW or ends <= now or ends <= begins:
        raise OcspError(f"the answer is good from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC, and not now")
    if status is ocsp.OCSPCertStatus.REVOKED:
        raise RevokedError(f"the issuer has revoked it{f' on {revoked:%Y-%m-%d %H:%M} UTC' if revoked else ''}")
    if status is not ocsp.OCSPCertStatus.GOOD:
        raise OcspError("the issuer does not know the certificate")
    return Answer(raw, begins, ends)


def _responders(leaf: x509.Certificate) -> list[str]:
    try:
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [
        str(each.access_location.value)
        for each in access
        if each.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(each.access_location, x509.UniformResourceIdentifier)
    ]


def _verify(answer: ocsp.OCSPResponse, subject: Subject, now: datetime) -> None:
    """Signed by the issuer, or by whom it has made its responder (RFC 6960, section 4.2.2.2)."""
    for signer in (subject.issuer, *islice(answer.certificates, MOST_SIGNERS)):
        if signer is subject.issuer or _is_responder(signer, subject.issuer, now):
            try:
                _check_signature(answer, signer.public_key())
            except InvalidSignature:
                continue
            return
    raise OcspError("the answer is not signed by the issuer, nor by a responder of its own")


def _is_responder(certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    is_valid = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    return is_valid and ExtendedKeyUsageOID.OCSP_SIGNING in usage


def _check_signature(answer: ocsp.OCSPResponse, key: object) -> None:
    """Raises `InvalidSignature`, also for what clients would not believe: SHA-1, and kinds of keys that none has."""
    signed, text = answer.signature, answer.tbs_response_bytes
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key.verify(signed, text)
    algorithm = answer.signature_hash_algorithm
    if not isinstance(algorithm, SHA256 | SHA384 | SHA512):
        raise InvalidSignature
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.verify(signed, text, ec.ECDSA(algorithm))
    if isinstance(key, rsa.RSAPublicKey):
        return key.verify(signed, text, padding.PKCS1v15(), algorithm)
    raise InvalidSignature
