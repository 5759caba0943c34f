"""What a reload tells: options of the process that changed, and warnings in the user's words."""

from dataclasses import replace

from evenly.config import AdminAddress
from evenly.control.difference import changed_options
from evenly.control.reload import at_users_places
from evenly.control.status import Changes, DocumentWarning
from evenly.control.supervisor import Supervisor


def test_warnings_are_at_the_users_places(supervisor: Supervisor) -> None:
    warnings = [DocumentWarning(path="pools[0].endpoints[1]", message="m"), DocumentWarning(path="", message="n")]
    told = at_users_places(Changes(generation=2, warnings=warnings), supervisor.configuration)
    assert [(each.path, each.message) for each in told.warnings] == [("pools.app.endpoints[1]", "m"), ("", "n")]


def test_another_admin_address_is_a_change(supervisor: Supervisor) -> None:
    before = supervisor.configuration
    assert changed_options(before, before) == []
    admin = replace(before.resolved.admin, bind=AdminAddress.parse("127.0.0.1:9901"))
    assert changed_options(before, replace(before, resolved=replace(before.resolved, admin=admin))) == ["admin"]
