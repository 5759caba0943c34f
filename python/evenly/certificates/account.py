"""Accounts with issuers: a key for each issuer, made once, and where it knows us."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from evenly.certificates.issue_error import IssueError
from evenly.certificates.store import Store
from evenly.certificates.wanted import WantedIssuer

VERSION = 1
"""Of the texts' form. Another is not guessed at."""


@dataclass(frozen=True)
class Account:
    """An account with one issuer."""

    key: str = field(repr=False)
    """PEM; ECDSA on P-256, which every issuer takes."""
    next_key: str | None = field(default=None, repr=False)
    """PEM. The key that is to take the place of `key`, while nobody knows whether the issuer has heard of it."""
    url: str | None = None
    """Its URL; `None` until the issuer knows it."""
    email: str | None = None
    """Where the issuer writes."""

    @classmethod
    def new(cls) -> Self:
        """With a new key."""
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())

    @property
    def with_next_key(self) -> Self:
        """The same account, under the key that was to be the next."""
        return self if self.next_key is None else replace(self, key=self.next_key, next_key=None)


def load_account(store: Store, issuer: WantedIssuer) -> Account | None:
    """The account that is kept. Raises `StoreError`, and `IssueError` for one that cannot be read: a new one in its
    place would be the end of the old one."""
    text = store.read(account_name(issuer))
    if text is None:
        return None
    try:
        data = json.loads(text)
        url, email = (None if data[name] is None else str(data[name]) for name in ("url", "email"))
        next_key = None if data.get("next_key") is None else str(data["next_key"])
        account = Account(str(data["key"]), next_key, url, email)
        version = data["version"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise IssueError(f"the account for {issuer.name} in {account_name(issuer)}.json cannot be read") from error
    if version != VERSION:
        raise IssueError(f"the account for {issuer.name} in {account_name(issuer)}.json is of version {version!r}")
    return account


def save_account(store: Store, issuer: WantedIssuer, account: Account) -> None:
    """Keeps it. Raises `StoreError`."""
    content = {"version": VERSION, "directory": issuer.directory, **asdict(account)}
    store.write(account_name(issuer), json.dumps(content, indent=1))


def account_name(issuer: WantedIssuer) -> str:
    """Its name in the store."""
    # By what it is, not by what it is called: an issuer that is renamed keeps its account.
    return f"accounts/{hashlib.sha256(issuer.directory.encode()).hexdigest()[:16]}"
