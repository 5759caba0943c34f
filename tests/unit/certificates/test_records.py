"""What is kept of certificates and accounts; whatever stands there instead."""

import json
from dataclasses import replace

import pytest
from evenly.certificates import records
from evenly.certificates.account import Account, load_account, save_account
from evenly.certificates.issue_error import IssueError

from .simulated import MemoryStore, World, issuer


def test_a_certificate_survives() -> None:
    world = World()
    issued = world.made(world.wanted, world.wanted.issuers[0])
    records.save(world.store, "site", issued)
    assert records.load(world.store, "site") == issued
    assert records.load(world.store, "other") is None
    assert issued.satisfies(world.wanted)
    assert "PRIVATE" not in repr(issued)


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"chain": "nonsense"}, {"hosts": None}, {"key_type": None, "version": None}]
)
def test_what_cannot_be_understood_counts_as_nothing(change) -> None:
    world = World()
    records.save(world.store, "site", world.made(world.wanted, world.wanted.issuers[0]))
    [(name, text)] = world.store.texts.items()
    for broken in (json.dumps(json.loads(text) | change), text[:40], "[]", "null", ""):
        world.store.texts[name] = broken
        assert records.load(world.store, "site") is None, broken


def test_what_precedes_another() -> None:
    """One of the same issuer, for a host in common."""
    world = World()
    issued = world.made(world.wanted, world.wanted.issuers[0])
    assert issued.precedes(replace(world.wanted, hosts=("new.test", "shop.test")), world.wanted.issuers[0])
    assert not issued.precedes(replace(world.wanted, hosts=("new.test",)), world.wanted.issuers[0])
    assert not issued.precedes(world.wanted, issuer("other"))


def test_an_account_survives_and_is_never_replaced_by_mistake() -> None:
    store, ours = MemoryStore(), issuer("ours")
    assert load_account(store, ours) is None
    account = Account.new()
    save_account(store, ours, account)
    assert load_account(store, ours) == account
    assert load_account(store, issuer("other")) is None
    [name] = store.texts
    for broken in ("", "{}", json.dumps(json.loads(store.texts[name]) | {"version": 9})):
        store.texts[name] = broken
        with pytest.raises(IssueError, match="the account for ours"):
            load_account(store, ours)
