"""The account with an issuer gets another key (RFC 8555, section 7.3.5), and none is lost if that breaks off."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from acme import messages
from acme.client import ClientNetwork, ClientV2
from evenly.certificates.account import Account, account_name, load_account
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


def issuer_of(pebble: Pebble, email: str | None = None) -> WantedIssuer:
    """As a configuration would have it."""
    return WantedIssuer("pebble", pebble.directory, pebble.authority.bundle, email)


def let_in(issuer: WantedIssuer, store: DirectoryStore) -> bool:
    """Whether the issuer takes orders under the account that is kept."""
    _, questions = Conversation(issuer, store).order(["shop.test"], "http-01", KEY)
    return len(questions) == 1


def accounts(pebble: Pebble) -> int:
    """How many it has registered since it was started."""
    return sum("There are now" in line and "accounts in memory" in line for line in pebble.log.all)


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


def test_registered_once(authority, port, tmp_path) -> None:
    """Conversations that began when there was no account share the one that the first of them registers."""
    with issuing(authority, port()) as pebble:
        issuer, store = issuer_of(pebble), DirectoryStore(tmp_path / "store")
        conversations = [Conversation(issuer, store) for _ in range(4)]
        with ThreadPoolExecutor(4) as threads:
            orders = [threads.submit(each.order, ["shop.test"], "http-01", KEY) for each in conversations]
            assert all(len(each.result()[1]) == 1 for each in orders)
        assert accounts(pebble) == 1
        account = load_account(store, issuer)
        assert account is not None
        assert account.url is not None
        assert let_in(issuer, store)
        assert load_account(store, issuer) == account


def test_a_refused_registration_costs_no_account(authority, port, tmp_path, monkeypatch) -> None:
    """As with issuers whose external accounts can be used once: who comes second must not need another."""
    with issuing(authority, port()) as pebble:
        issuer, store = issuer_of(pebble), DirectoryStore(tmp_path / "store")
        first, second = Conversation(issuer, store), Conversation(issuer, store)
        assert first.order(["shop.test"], "http-01", KEY)
        account = load_account(store, issuer)

        def refused(*_: object) -> object:
            raise messages.Error.with_code("externalAccountRequired", detail="used already")

        with monkeypatch.context() as patched:
            patched.setattr(ClientV2, "new_account", refused)
            assert second.order(["www.shop.test"], "http-01", KEY)
            assert load_account(store, issuer) == account
            # And a refused one leaves the key, under which the next try goes on.
            other = DirectoryStore(tmp_path / "other")
            with pytest.raises(IssueError, match="used already"):
                let_in(issuer, other)
        left = load_account(other, issuer)
        assert left is not None
        assert left.url is None
        assert let_in(issuer, other)
        signed_up = load_account(other, issuer)
        assert signed_up is not None
        assert signed_up.url is not None
        assert signed_up.key == left.key


def test_registering_waits_for_who_is_at_it(authority, port, tmp_path, monkeypatch) -> None:
    """And not for ever."""
    with issuing(authority, port()) as pebble:
        issuer, store = issuer_of(pebble), DirectoryStore(tmp_path / "store")
        conversation = Conversation(issuer, store)
        with store.locked(account_name(issuer)), monkeypatch.context() as patched:
            patched.setattr("evenly.certificates.conversation.ACCOUNT_SECONDS", 0.0)
            with pytest.raises(IssueError, match="another process is changing the account with pebble"):
                conversation.order(["shop.test"], "http-01", KEY)
        assert accounts(pebble) == 0
        looked, sleep = threading.Event(), time.sleep
        monkeypatch.setattr("evenly.certificates.store.time.sleep", lambda pause: (looked.set(), sleep(pause)))
        with ThreadPoolExecutor(1) as thread:
            with store.locked(account_name(issuer)):
                ordering = thread.submit(conversation.order, ["shop.test"], "http-01", KEY)
                assert looked.wait(PATIENCE)
                assert not ordering.done()
            assert len(ordering.result(PATIENCE)[1]) == 1


def test_another_email_and_an_issuer_that_has_forgotten(authority, port, tmp_path) -> None:
    """As pebble does when it is started again: it is told both anew, under the same key."""
    with issuing(authority, port()) as pebble:
        store = DirectoryStore(tmp_path / "store")
        assert let_in(issuer_of(pebble, "ops@shop.test"), store)
        before = load_account(store, issuer_of(pebble))
        pebble.stop()
        pebble.start()
        assert let_in(issuer_of(pebble, "hosts@shop.test"), store)
        after = load_account(store, issuer_of(pebble))
        assert before is not None
        assert after is not None
        assert (before.email, after.email) == ("ops@shop.test", "hosts@shop.test")
        assert after.key == before.key
        # An issuer that remembers is only told the new one.
        assert let_in(issuer_of(pebble, "web@shop.test"), store)
        assert accounts(pebble) == 1
        changed = load_account(store, issuer_of(pebble))
        assert changed == replace(after, email="web@shop.test")
