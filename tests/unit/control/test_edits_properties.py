"""Any sequence of edits to endpoints leaves what a set would have, and taking all back leaves what the file says."""

import asyncio
import tempfile
from functools import partial
from pathlib import Path

from evenly.control import editing
from evenly.control.dataplane import Dataplane
from evenly.control.editing import ConflictError, UnknownNameError
from evenly.control.origin import Origin
from evenly.control.supervisor import Supervisor
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.control.conftest import CONFIGURATION
from tests.unit.control.recording import RecordingDataplane, SilentAdmin

ADDRESSES = [f"127.0.0.1:{port}" for port in range(9001, 9006)]
STEPS = st.lists(st.tuples(st.sampled_from(["add", "remove", "reload"]), st.sampled_from(ADDRESSES)), max_size=12)


@given(STEPS)
@settings(max_examples=40, deadline=None)
def test_endpoints(steps: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "evenly.toml"
        file.write_text(CONFIGURATION.format(admin=f"{directory}/admin.sock"))
        origin = Origin.of_file(file)
        native = RecordingDataplane(origin.read().document.text)
        admin = SilentAdmin(f"{directory}/admin.sock")
        dataplane = Dataplane(native)  # type: ignore[arg-type]
        supervisor = Supervisor(origin, origin.read(), dataplane, admin, SilentAdmin.open)
        asyncio.run(play(supervisor, native, steps))


async def play(supervisor: Supervisor, native: RecordingDataplane, steps: list[tuple[str, str]]) -> None:
    """Plays the steps on both, and compares."""

    def addresses() -> list[str]:
        return [endpoint["address"] for endpoint in native.document["pools"][0]["endpoints"]]

    written = addresses()
    expected = set(written)
    for verb, address in steps:
        if verb == "reload":
            await supervisor.reload()
        elif verb == "add":
            try:
                await supervisor.edit(partial(editing.add_endpoint, pool="app", address=address, options={}), "")
                assert address not in expected
            except ConflictError:
                assert address in expected
            expected.add(address)
        else:
            try:
                await supervisor.edit(partial(editing.remove_endpoint, pool="app", address=address), "")
                assert address in expected
            except UnknownNameError:
                assert address not in expected
            expected.discard(address)
        assert set(addresses()) == expected
        assert len(addresses()) == len(expected)
    await supervisor.edit(editing.discard, "")
    assert addresses() == written
