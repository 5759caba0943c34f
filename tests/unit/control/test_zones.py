"""Evacuating a zone through the supervisor and the API."""

import asyncio
from pathlib import Path

import pytest
from evenly.config import Duration, Machine
from evenly.control.dataplane import Dataplane
from evenly.control.editing import UnknownNameError
from evenly.control.origin import Origin
from evenly.control.supervisor import Supervisor

from tests.unit.control.recording import RecordingDataplane, SilentAdmin


@pytest.fixture
def zoned(file: Path) -> tuple[Supervisor, RecordingDataplane]:
    """Endpoints in two zones."""
    text = file.read_text()
    for number, zone in ((1, "a"), (2, "b")):
        text = text.replace(f'"127.0.0.1:900{number}"', f'{{ address = "127.0.0.1:900{number}", zone = "{zone}" }}')
    file.write_text(text)
    origin = Origin.of_file(file, zone="b")
    native = RecordingDataplane(origin.read().document.text)
    admin = SilentAdmin(str(file.parent / "admin.sock"))
    return Supervisor(origin, origin.read(), Dataplane(native), admin, SilentAdmin.open), native  # type: ignore[arg-type]


def test_an_evacuation_has_an_end_and_a_known_zone(zoned: tuple[Supervisor, RecordingDataplane]) -> None:
    supervisor, native = zoned

    async def story() -> None:
        with pytest.raises(UnknownNameError, match="none at all"):
            await supervisor.evacuate("a", None)
        with pytest.raises(UnknownNameError, match="a, b"):
            await supervisor.evacuate("c", Duration.parse("1m"))
        zone = await supervisor.evacuate("a", Duration.parse("1m"))
        assert zone.evacuated_until is not None
        assert (await supervisor.evacuate("a", None)).evacuated_until is None

    asyncio.run(story())
    assert native.calls == ["evacuate a 60000", "evacuate a None"]


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(f'{file.read_text()}\n[node]\nzone = "file"\n')
    monkeypatch.delenv("EVENLY_ZONE", raising=False)
    assert Origin.of_file(file).read().resolved.zone == "file"
    monkeypatch.setenv("EVENLY_ZONE", "environment")
    assert Machine.here().zone == "environment"
    assert Origin.of_file(file).read().resolved.zone == "environment"
    assert Origin.of_file(file, zone="option").read().resolved.zone == "option"
