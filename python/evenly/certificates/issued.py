"""The certificates that the store has for a configuration: what listeners show."""

from __future__ import annotations

import structlog

from evenly.certificates import records
from evenly.certificates.store import StoreError
from evenly.certificates.wanted import store_of, wanted
from evenly.config import Loaded
from evenly.config.self_signed import Pem

log = structlog.get_logger("evenly")


def read_issued(loaded: Loaded) -> dict[str, Pem]:
    """The certificates that the store has for a configuration. Blocking. What cannot be read is told in the log."""
    found: dict[str, Pem] = {}
    store = store_of(loaded)
    if store is None:
        return found
    for name in wanted(loaded):
        try:
            issued = records.load(store, name)
        except StoreError as error:
            log.warning("certificate not read", certificate=name, problem=str(error))
        else:
            if issued is not None:
                found[name] = issued.pem
    return found
