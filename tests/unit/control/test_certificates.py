"""What is said of certificates while the process runs."""

from datetime import UTC, datetime

from evenly.control.certificates import expiring
from evenly.control.status import CertificateStatus

NOW = datetime(2026, 5, 4, 3, 2, tzinfo=UTC)


def certificate(days_left: int, begins: float = 0) -> CertificateStatus:
    """One with so many days left."""
    return CertificateStatus(
        name="site", names=["a.test"], subject="a.test", issuer="Test CA", key="ECDSA P-256", begins=begins, expires=0,
        days_left=days_left, listeners=["web"], problem="",
    )  # fmt: skip


def test_only_what_ends_soon_is_mentioned() -> None:
    """From two weeks on, and all the more afterwards."""
    assert list(expiring([certificate(60), certificate(14)], NOW)) == []
    assert list(expiring([certificate(13)], NOW)) == ['certificate "site" expires in 13 days']
    assert list(expiring([certificate(-1)], NOW)) == ['certificate "site" has expired: clients refuse it']


def test_what_is_not_valid_yet_is_mentioned() -> None:
    """However much time it has left."""
    begins = NOW.timestamp() + 60
    said = 'certificate "site" is not valid before 2026-05-04 03:03 UTC: clients refuse it'
    assert list(expiring([certificate(60, begins)], NOW)) == [said]
    assert list(expiring([certificate(60, NOW.timestamp())], NOW)) == []
