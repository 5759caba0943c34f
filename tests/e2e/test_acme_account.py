"""The account with an issuer gets another key (RFC 8555, section 7.3.5), and none is lost if that breaks off."""

import json
from pathlib import Path

import pytest
from acme import messages
from acme.client import ClientNetwork
from evenly.certificates.account import Account, load_account
from evenly.certificates.conversation import Conversation
from evenly.certificates.directory import DirectoryStore
from evenly.certificates.issue_error import IssueError
from evenly.certificates.wanted import WantedIssuer

from ..support.balancer import run_verb
from ..support.pebble import Pebble, issuing
from .test_acme import PATIENCE, Site


@pytest.fixture
def site(port, servers, tmp_path) -> Site:
    return Site(port, servers("a")[0], tmp_path / "state")


def kept(site: Site) -> tuple[Path, dict]:
    """The account's file, and what it says."""
    (file,) = (site.state / "acme" / "accounts").iterdir()
    return file, json.loads(file.read_text())


def issuer_of(pebble: Pebble) -> WantedIssuer:
    """As a configuration would have it."""
    return WantedIssuer("pebble", pebble.directory, pebble.authority.bundle, None)


def let_in(issuer: WantedIssuer, store: DirectoryStore) -> bool:
    """Whether the issuer takes orders under the account that is kept."""
    _, questions = Conversation(issuer, store).order(["shop.test"], "http-01", KEY)
    return len(questions) == 1


KEY = Account.new().key.encode()
"""Of a certificate."""


def test_another_key(run, site, authority) -> None:
    """The next renewal goes under it, the old one is of no use any more, and nobody is shown either."""
    with issuing(authority, site.plain) as pebble:
        balancer = run(site.text(pebble))
        balancer.wait_log("certificates replaced", deadline=PATIENCE)
        file, before = kept(site)
        shown = run_verb("certificates", "rollover", "issuer0", "--admin", str(balancer.admin_path), timeout=PATIENCE)
        told = balancer.wait_log("account key changed")
        assert told["account"] == before["url"]
        assert told["thumbprint"] in shown.stdout
        _, after = kept(site)
        assert after["key"] != before["key"]
        assert (after["url"], after["next_key"]) == (before["url"], None)
        assert file.stat().st_mode & 0o077 == 0
        run_verb("certificates", "renew", "site", "--admin", str(balancer.admin_path), timeout=PATIENCE)
        assert kept(site)[1] == after
        stale = DirectoryStore(site.state / "stale")
        stale.write(f"accounts/{file.stem}", json.dumps(before))
        with pytest.raises(IssueError, match="takes no order"):
            let_in(issuer_of(pebble), stale)
        missing = run_verb("certificates", "rollover", "other", "--admin", str(balancer.admin_path), expect=1)
        assert "issuer0" in missing.stderr


@pytest.mark.parametrize("is_heard", [True, False], ids=["issuer-has-heard", "issuer-has-not"])
def test_broken_off(authority, port, tmp_path, monkeypatch, is_heard) -> None:
    """Where nobody knows whether the issuer has the new key, it is asked; either way the account goes on."""
    with issuing(authority, port()) as pebble:
        issuer, store = issuer_of(pebble), DirectoryStore(tmp_path / "store")
        assert let_in(issuer, store)
        before = load_account(store, issuer)
        assert before is not None
        post = ClientNetwork.post

        def broken(network: ClientNetwork, url: str, *args: object, **options: object) -> object:
            if not url.endswith("rollover-account-key"):
                return post(network, url, *args, **options)
            kept = load_account(store, issuer)
            assert kept is not None
            assert kept.next_key is not None, "it is kept before the issuer hears of it"
            if is_heard:
                post(network, url, *args, **options)
            raise ConnectionResetError("broken off")

        with monkeypatch.context() as patched:
            patched.setattr(ClientNetwork, "post", broken)
            with pytest.raises(IssueError, match="did not take another key: broken off"):
                Conversation(issuer, store).roll_over()
        open_end = load_account(store, issuer)
        assert open_end is not None
        assert open_end.key == before.key
        assert let_in(issuer, store)
        after = load_account(store, issuer)
        assert after is not None
        assert after.next_key is None
        assert after.key == (open_end.next_key if is_heard else before.key)
        # And once more, under whichever it is.
        assert Conversation(issuer, store).roll_over()[0] == before.url
        assert let_in(issuer, store)


def test_one_at_a_time_and_not_before_there_is_an_account(authority, port, tmp_path) -> None:
    with issuing(authority, port()) as pebble:
        issuer, store = issuer_of(pebble), DirectoryStore(tmp_path / "store")
        with pytest.raises(IssueError, match="there is no account with pebble yet"):
            Conversation(issuer, store).roll_over()
        assert let_in(issuer, store)
        (file,) = (tmp_path / "store" / "accounts").iterdir()
        with (
            store.locked(f"accounts/{file.stem}"),
            pytest.raises(IssueError, match="another process is changing the key"),
        ):
            Conversation(issuer, store).roll_over()


def test_a_refusal_changes_nothing(authority, port, tmp_path, monkeypatch) -> None:
    """The issuer's own words, and the old key goes on."""
    with issuing(authority, port()) as pebble:
        issuer, store = issuer_of(pebble), DirectoryStore(tmp_path / "store")
        assert let_in(issuer, store)
        before = load_account(store, issuer)
        assert before is not None
        with monkeypatch.context() as patched:
            # A key that it has already.
            patched.setattr(Account, "new", lambda: before)
            with pytest.raises(IssueError, match="did not take another key") as refused:
                Conversation(issuer, store).roll_over()
        assert isinstance(refused.value.__cause__, messages.Error)
        assert let_in(issuer, store)
        assert load_account(store, issuer) == before
