"""When the issuer wants a certificate renewed: ACME Renewal Information (RFC 9773). Pure.

Done here and not by the library, which draws a moment of its own and by its own clock each time that it is asked.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from cryptography import x509

from evenly.certificates.renewal import Window

ASK_AGAIN = timedelta(hours=6)
"""Where the issuer does not say when (RFC 9773, section 4.3.3)."""

SOONEST, LATEST = timedelta(minutes=1), timedelta(days=1)
"""Bounds of what it may say, which the same section asks for."""


def identifier(certificate: x509.Certificate) -> str:
    """A certificate's name there: key identifier of its authority, and serial number (section 4.1).

    Raises `ValueError` if it has none.
    """
    try:
        authority = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        authority = None
    if authority is None:
        raise ValueError("the certificate does not name the key of its authority")
    serial = certificate.serial_number
    # With room for the sign: the content of a DER integer.
    return f"{_base64(authority)}.{_base64(serial.to_bytes(serial.bit_length() // 8 + 1, 'big'))}"


def window_of(body: Any, retry_after: str | None, now: datetime) -> tuple[Window, datetime]:  # noqa: ANN401 - JSON
    """An answer's window, and when to ask again. Raises `ValueError` or `KeyError` for what is none."""
    suggested = body["suggestedWindow"]
    start, end = (_moment(str(suggested[name])) for name in ("start", "end"))
    if end < start:
        raise ValueError("its window ends before it starts")
    return Window(start, end), now + min(max(_pause(retry_after, now), SOONEST), LATEST)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment.astimezone(UTC)


def _pause(retry_after: str | None, now: datetime) -> timedelta:
    if retry_after is None:
        return ASK_AGAIN
    if retry_after.isdigit():
        return timedelta(seconds=min(int(retry_after), 10**6))
    try:
        return parsedate_to_datetime(retry_after) - now
    except (ValueError, TypeError):
        return ASK_AGAIN


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
