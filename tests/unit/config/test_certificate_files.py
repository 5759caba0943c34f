"""Certificates as they lie in files: what is read of them, and every way in which they may be wrong."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from evenly.config import load_text
from evenly.config.certificate_files import LARGEST_FILE, ResolvedCertificate, read_certificates, remarks

from tests.support.authority import Authority, Files

TEXT = """
[listeners.web]
bind = ":443"
tls = {{ certificates = "site" }}
{table}
[pools.app]
endpoints = ["10.0.0.1:9000"]
"""


def read(files: Files) -> tuple[ResolvedCertificate | None, str]:
    """The certificate, and all that is wrong with it."""
    loaded = load_text(TEXT.format(table=files.table("site")), "evenly.toml", files.cert.parent)
    found, problems = read_certificates(loaded)
    return found.get("site"), "\n".join(message for _, message in problems)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Of this test's own."""
    return Authority(tmp_path)


@pytest.mark.parametrize(("kind", "called"), [("ecdsa", "ECDSA P-256"), ("rsa", "RSA 2048")])
def test_what_is_read(authority, kind, called) -> None:
    """Names, issuer, key and the time it lasts."""
    found, problems = read(authority.issue("a.test", "*.a.test", key=kind, days=10))
    assert found is not None, problems
    assert found.hosts == ["a.test", "*.a.test"]
    assert (found.facts.subject, found.facts.issuer, found.facts.key) == ("a.test", "Test CA", called)
    assert timedelta(days=9) < found.facts.expires - datetime.now(UTC) < timedelta(days=11)
    assert "PRIVATE" not in repr(found)


def test_mistakes(authority, tmp_path) -> None:
    """Each is told with the file that it is in."""
    good = authority.issue("a.test")
    other = authority.issue("b.test")
    large = tmp_path / "large.pem"
    large.write_bytes(b"x" * (LARGEST_FILE + 1))
    foreign = tmp_path / "foreign.pem"
    foreign.write_bytes(b"-----BEGIN\n\xff\n")
    locked = tmp_path / "locked.key"
    key = load_pem_private_key(good.key.read_bytes(), None)
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    weak = tmp_path / "weak.key"
    small = rsa.generate_private_key(65537, 1024)
    weak.write_bytes(small.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for files, said in [
        (Files(good.cert, other.key), "is not the key of the certificate in"),
        (Files(good.cert, good.cert), "has no private key that can be read"),
        (Files(good.key, good.key), "has no certificate that can be read"),
        (Files(tmp_path / "none.pem", good.key), "none.pem cannot be read: No such file or directory"),
        (Files(tmp_path, good.key), "cannot be read: Is a directory"),
        (Files(large, good.key), "is larger than 1 MiB"),
        (Files(foreign, good.key), "foreign.pem: line 2 is not PEM"),
        (Files(good.cert, locked), "is encrypted"),
        (Files(good.cert, weak), "has an RSA key of 1,024 bits"),
        (authority.issue("c.test", file="swapped", order=(1, 0)), "out of order: certificate 1 (Test CA)"),
        (authority.issue("d.test", file="twice", order=(0, 0, 1)), "out of order: certificate 1 (d.test)"),
        (authority.issue("e.test", file="issuer", order=(1,)), "is not the key"),
    ]:
        found, problems = read(files)
        assert found is None
        assert said in problems, (said, problems)


def test_a_root_at_the_end_and_no_chain_at_all_are_fine(authority) -> None:
    """The root need not be there and may be; a chain of one is a chain."""
    files = authority.issue("a.test", file="rooted")
    files.cert.write_bytes(files.cert.read_bytes() + authority.bundle.read_bytes())
    assert read(files)[0] is not None
    assert read(authority.issue("b.test", order=(0,)))[0] is not None


def test_what_is_wrong_but_can_be_shown(authority) -> None:
    """Expired, not yet valid: told, with the place."""
    files = authority.issue("a.test", days=1)
    loaded = load_text(TEXT.format(table=files.table("site")), "evenly.toml", files.cert.parent)
    found, _ = read_certificates(loaded)
    now = datetime.now(UTC)
    assert remarks(loaded, found, now) == []
    [late] = remarks(loaded, found, now + timedelta(days=2))
    assert "expired on" in str(late)
    assert late.path == "certificates.site.cert"
    [early] = remarks(loaded, found, now - timedelta(days=500))
    assert "is not valid before" in str(early)
