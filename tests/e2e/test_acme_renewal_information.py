"""The issuer says when a certificate is to be renewed, and is told which one the new one replaces (ARI, RFC 9773).

By a newer Pebble than Debian's, which does not know it."""

import json
from datetime import timedelta
from typing import Any

import pytest
from acme import errors, messages
from acme.client import ClientNetwork
from cryptography import x509
from evenly.certificates.account import Account
from evenly.certificates.conversation import Conversation
from evenly.certificates.directory import DirectoryStore
from evenly.certificates.wanted import WantedIssuer

from ..support.pebble import issuing
from .test_acme import PATIENCE, Site, certificate


@pytest.fixture
def site(port, servers, tmp_path) -> Site:
    return Site(port, servers("a")[0], tmp_path / "state")


def kept(site: Site) -> str:
    """The chain that is there."""
    return json.loads((site.state / "acme" / "certificates" / "site.json").read_text())["chain"]


@pytest.mark.timeout(420)
def test_renewed_when_the_issuer_wants_it_and_in_the_place_of_the_old_one(
    run, site, authority, newer_pebble, monkeypatch
) -> None:
    with issuing(authority, site.plain, program=newer_pebble) as pebble:
        balancer = run(site.text(pebble))
        balancer.wait_log("certificates replaced", deadline=PATIENCE)
        balancer.until(lambda: certificate(balancer)["renewal"]["why"] == "as the issuer suggests")
        old = kept(site)
        balancer.end()
        # An issuer that has to revoke it moves the window; a process that starts asks at once.
        begins = x509.load_pem_x509_certificate(old.encode()).not_valid_before_utc
        pebble.suggest(old[: old.index("-----END CERTIFICATE-----") + 26], begins, begins + timedelta(seconds=1))
        again = run(site.text(pebble))
        again.wait_log("certificate issued", deadline=PATIENCE)
        pebble.log.wait(lambda line: "is a replacement of" in line)
        again.wait_log("certificates replaced")
        new = kept(site)
        assert new != old
        again.until(lambda: certificate(again)["renewal"]["error"] == "")
        _what_was_replaced_is_not_replaced_again(site, pebble, authority, old, new, monkeypatch)


def _what_was_replaced_is_not_replaced_again(
    site: Site, pebble: Any, authority: Any, old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order that the issuer refuses for that is made once more, for nobody's place."""
    orders: list[tuple[str | None, str]] = []
    post = ClientNetwork.post

    def noting(network: ClientNetwork, url: str, obj: Any, *args: Any, **options: Any) -> Any:
        if not isinstance(obj, messages.NewOrder):
            return post(network, url, obj, *args, **options)
        replaces = getattr(obj, "replaces", None)
        try:
            answer = post(network, url, obj, *args, **options)
        except errors.ConflictError:
            orders.append((replaces, "refused"))
            raise
        orders.append((replaces, "taken"))
        return answer

    monkeypatch.setattr(ClientNetwork, "post", noting)
    issuer = WantedIssuer("issuer0", pebble.directory, authority.bundle, "ops@example.com")
    store, key = DirectoryStore(site.state / "acme"), Account.new().key.encode()
    for chain in (old, new):
        predecessor = x509.load_pem_x509_certificate(chain.encode())
        _, questions = Conversation(issuer, store).order(["shop.test"], "http-01", key, predecessor)
        assert questions
    (of_old, refused), (none, taken), (of_new, taken_too) = orders
    assert of_old is not None
    assert of_new is not None
    assert of_old != of_new
    assert (refused, none, taken, taken_too) == ("refused", None, "taken", "taken")
