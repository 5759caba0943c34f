"""One certificate from one issuer: ordered, shown to be ours, and fetched."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from evenly.certificates.issue_error import IssueError
from evenly.certificates.records import Issued
from evenly.certificates.renewal import Window
from evenly.certificates.responder import Responder
from evenly.certificates.store import Store
from evenly.certificates.threads import in_thread
from evenly.certificates.wanted import Wanted, WantedIssuer


async def issue(
    wanted: Wanted,
    issuer: WantedIssuer,
    store: Store,
    responder: Responder,
    *,
    before: Issued | None = None,
    dry_run: bool = False,
) -> Issued | None:
    """A certificate with a new key, in the place of the one before. A dry run ends when the issuer has accepted the
    answers, with nothing issued.

    Raises `IssueError`, `StoreError` and `ResponderError`.
    """
    # Not before it is needed; see there.
    from evenly.certificates.conversation import Conversation

    conversation = await in_thread(lambda: Conversation(issuer, store))
    key = await in_thread(lambda: _new_key(wanted.key_type))
    # A dry run replaces nothing.
    predecessor = None if before is None or dry_run or not before.precedes(wanted, issuer) else before.leaf
    order, questions = await in_thread(
        lambda: conversation.order(wanted.hosts, wanted.challenge, key.encode(), predecessor)
    )
    async with responder.answering(questions):
        answered = await in_thread(lambda: conversation.answered(order))
        if dry_run:
            return None
        chain = await in_thread(lambda: conversation.finished(answered))
    issued = Issued(chain, key, wanted.hosts, wanted.key_type, issuer.name, issuer.directory)
    _check(issued)
    return issued


async def ask_window(issued: Issued, issuer: WantedIssuer, store: Store) -> tuple[Window | None, float]:
    """When the issuer wants it renewed, if it says so, and when to ask again, in unix seconds. Raises as `issue`."""
    from evenly.certificates.conversation import Conversation

    window, again = await in_thread(lambda: Conversation(issuer, store).window(issued.leaf))
    return window, again.timestamp()


async def revoke(certificate: x509.Certificate, issuer: WantedIssuer, store: Store, reason: int) -> None:
    """Has a certificate revoked by its issuer. Raises `IssueError` and `StoreError`."""
    from evenly.certificates.conversation import Conversation

    await in_thread(lambda: Conversation(issuer, store).revoke(certificate, reason))


async def roll_over(issuer: WantedIssuer, store: Store) -> tuple[str, str]:
    """Gives the account another key: its URL, and the key's thumbprint. Raises `IssueError` and `StoreError`."""
    from evenly.certificates.conversation import Conversation

    return await in_thread(lambda: Conversation(issuer, store).roll_over())


def _new_key(kind: str) -> str:
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    match kind:
        case "ecdsa-p256":
            key = ec.generate_private_key(ec.SECP256R1())
        case "ecdsa-p384":
            key = ec.generate_private_key(ec.SECP384R1())
        case _:
            key = rsa.generate_private_key(public_exponent=65537, key_size=int(kind.removeprefix("rsa-")))
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _check(issued: Issued) -> None:
    """Raises `IssueError` unless it is what was asked for: nobody is shown what an issuer got wrong."""
    try:
        leaf = issued.leaf
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise IssueError(f"{issued.issuer} sent something else than a certificate for hosts: {error}") from error
    own = load_pem_private_key(issued.key.encode(), None).public_key()
    format_ = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if leaf.public_key().public_bytes(*format_) != own.public_bytes(*format_):
        raise IssueError(f"{issued.issuer} sent a certificate for another key")
    missing = set(issued.hosts) - {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    if missing:
        raise IssueError(f"{issued.issuer} sent a certificate without {', '.join(sorted(missing))}")
