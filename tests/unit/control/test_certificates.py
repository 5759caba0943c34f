"""What is said of certificates while the process runs."""

from evenly.control.certificates import expiring
from evenly.control.status import CertificateStatus


def certificate(days_left: int) -> CertificateStatus:
    """One with so many days left."""
    return CertificateStatus(
        name="site", names=["a.test"], subject="a.test", issuer="Test CA", key="ECDSA P-256", begins=0, expires=0,
        days_left=days_left, listeners=["web"], problem="",
    )  # fmt: skip


def test_only_what_ends_soon_is_mentioned() -> None:
    """From two weeks on, and all the more afterwards."""
    assert list(expiring([certificate(60), certificate(14)])) == []
    assert list(expiring([certificate(13)])) == ['certificate "site" expires in 13 days']
    assert list(expiring([certificate(-1)])) == ['certificate "site" has expired: clients refuse it']
