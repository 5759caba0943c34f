"""CAA records (RFC 8659)."""

import pytest
from evenly.certificates.caa import check, looking
from evenly.certificates.issue_error import IssueError
from evenly.config.schema import ResolverAddress

OURS = ["ours.example"]


@pytest.mark.parametrize(
    ("records", "host", "said"),
    [
        ({}, "www.shop.test", None),
        ({"shop.test": [("issue", "ours.example")]}, "www.shop.test", None),
        ({"shop.test": [("issue", "Ours.example; validationmethods=http-01")]}, "shop.test", None),
        ({"shop.test": [("issue", "theirs.example"), ("issue", "ours.example")]}, "shop.test", None),
        ({"shop.test": [("iodef", "mailto:a@b.test")]}, "shop.test", None),
        ({"test": [("issue", "theirs.example")], "shop.test": [("issue", "ours.example")]}, "www.shop.test", None),
        ({"shop.test": [("issuewild", "theirs.example")]}, "shop.test", None),
        ({"shop.test": [("issue", "theirs.example")]}, "www.shop.test", "shop.test allow theirs.example to"),
        ({"shop.test": [("issue", ";")]}, "shop.test", "shop.test allow nobody to issue"),
        ({"shop.test": [("issue", "ours.example"), ("issuewild", ";")]}, "*.shop.test", "allow nobody"),
        ({"shop.test": [("issue", "theirs.example")]}, "*.shop.test", "theirs.example"),
    ],
)  # fmt: skip
def test_the_nearest_name_with_records_decides(records, host, said) -> None:
    def look(name):
        return records.get(name, ())

    if said is None:
        check([host], OURS, "inside", look)
    else:
        with pytest.raises(IssueError, match=said):
            check(["other.test", host], OURS, "inside", look)


def test_what_cannot_be_looked_up_is_left_to_the_issuer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evenly.certificates.caa.SECONDS", 0.2)
    assert looking(ResolverAddress("127.0.0.1", 1))("shop.test") == ()
