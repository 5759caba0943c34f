"""Renewal information (RFC 9773)."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from evenly.certificates.ari import identifier, window_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_identifier_of_the_rfc() -> None:
    """Section 4.1 has an example: key identifier and serial number, each in base64url."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 0x8765432100, NOW, NOW + timedelta(days=90))
    with pytest.raises(ValueError, match="does not name"):
        identifier(builder.sign(key, SHA256()))
    authority = bytes.fromhex("69885b6b87467ab4e30ac4bf0cd0ba2dc32d9c4b".upper())
    builder = builder.add_extension(x509.AuthorityKeyIdentifier(authority, None, None), critical=False)
    found = identifier(builder.sign(key, SHA256()))
    assert found.split(".")[1] == "AIdlQyEA"
    assert "=" not in found


def test_an_answer() -> None:
    body = {"suggestedWindow": {"start": "2026-02-01T00:00:00Z", "end": "2026-02-03T00:00:00+00:00"}}
    window, again = window_of(body, "21600", NOW)
    assert window.moment(0.5) == datetime(2026, 2, 2, tzinfo=UTC)
    assert again == NOW + timedelta(hours=6)


@pytest.mark.parametrize(
    ("said", "hours"),
    [(None, 6), ("nonsense", 6), ("0", 1 / 60), ("99999999999999", 24), ("Thu, 01 Jan 2026 02:00:00 GMT", 2)],
)
def test_when_to_ask_again_is_bounded(said: str | None, hours: float) -> None:
    body = {"suggestedWindow": {"start": "2026-02-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}}
    assert window_of(body, said, NOW)[1] == NOW + timedelta(hours=hours)


@pytest.mark.parametrize(
    "window",
    [
        {"start": "2026-02-02T00:00:00Z", "end": "2026-02-01T00:00:00Z"},
        {"start": "2026-02-02T00:00:00", "end": "2026-02-03T00:00:00"},
        {"start": "soon", "end": "later"},
        {},
    ],
)
def test_what_is_no_answer(window: dict[str, str]) -> None:
    with pytest.raises((ValueError, KeyError)):
        window_of({"suggestedWindow": window}, None, NOW)
