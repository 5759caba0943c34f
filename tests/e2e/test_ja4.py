"""JA4: kinds of client software told apart by how they say hello, in routes and in the log."""

import re
import ssl

import pytest

from ..support.balancer import configuration
from ..support.http2 import Http2Client

JA4 = re.compile(r"t1[23][di][0-9]{4}[0-9a-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}")


@pytest.fixture
def fingerprints(run, port, authority, servers):
    """Starts a balancer that logs fingerprints, with these routes; the balancer and its port."""

    def start(routes: str = "", log: str = "ja4 = true"):
        bound, site = port(), authority.issue("shop.test")
        text = configuration(
            servers("a")[0], bind=bound, top=f'access_log = {{ path = "-", {log} }}',
            listener='tls = { certificates = "site", policy = "intermediate" }', routes=site.table("site") + routes,
        )  # fmt: skip
        return run(text), bound

    return start


def test_each_kind_of_hello_has_one_of_its_own(fingerprints, authority) -> None:
    """The same client has the same, whether it resumes or not; other versions and protocols have others."""
    balancer, bound = fingerprints()

    def seen(path: str, name: str | None = "shop.test", **options) -> str:
        with authority.connect(bound, name, **options) as client:
            if options.get("alpn") == ["h2"]:
                with Http2Client(client.session) as connection:
                    assert connection.ask(path).status == 200
            else:
                assert client.ask(path).status == 200
        return balancer.access(target=path)["ja4"]

    old = authority.context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    first = seen("/1")
    assert JA4.fullmatch(first)
    assert first == seen("/2")
    assert first.startswith("t13d")
    assert first[8:10] == "00"
    assert seen("/3", alpn=["h2"])[8:10] == "h2"
    assert seen("/4", context=old).startswith("t12d")
    assert seen("/5", None).startswith("t13i")


def test_routes_go_by_it(fingerprints, authority) -> None:
    """Only where one asks is it made, so the log has none here."""
    balancer, bound = fingerprints()
    with authority.connect(bound) as client:
        assert client.ask("/").status == 200
    own = balancer.access(target="/")["ja4"]
    routes = f'[[routes]]\nja4 = "{own}"\nrespond = {{ body = "known" }}\n[[routes]]\npool = "app"\n'
    balancer, bound = fingerprints(routes)
    with authority.connect(bound) as client:
        assert client.ask("/").text == "known"
    with authority.connect(bound, alpn=["http/1.1"]) as client:
        assert client.ask("/").text == "a"


def test_nobody_asks(fingerprints, authority) -> None:
    """Then there is none."""
    balancer, bound = fingerprints(log="ja4 = false")
    with authority.connect(bound) as client:
        assert client.ask("/").status == 200
    assert "ja4" not in balancer.access(target="/")
