"""Weights that an operator has laid over a split of the file."""

import asyncio
from pathlib import Path

import pytest
from evenly.control.dataplane import Dataplane
from evenly.control.editing import UnknownNameError
from evenly.control.origin import Origin
from evenly.control.splits import SplitError, Splits
from evenly.control.supervisor import Supervisor

from tests.unit.control.recording import RecordingDataplane, SilentAdmin

FILE = {"stable": 95, "canary": 5}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration with a split."""
    path = tmp_path / "evenly.toml"
    pools = "".join(f'[pools.{pool}]\nendpoints = ["127.0.0.1:9001"]\n' for pool in FILE)
    route = '[[routes]]\nname = "shop"\nsplit = { stable = 95, canary = 5 }\n'
    path.write_text(f'[listeners.web]\nbind = "127.0.0.1:0"\n{pools}{route}')
    return path


def weights(native: RecordingDataplane) -> object:
    """What the packet path was told last."""
    return native.document["routes"][0]["action"]["pools"]


def test_they_hold_until_the_files_own_change(file: Path) -> None:
    origin = Origin.of_file(file)
    native = RecordingDataplane(origin.read().document.text)
    admin = SilentAdmin(str(file.parent / "admin.sock"))
    supervisor = Supervisor(origin, origin.read(), Dataplane(native), admin, SilentAdmin.open)  # type: ignore[arg-type]

    split = asyncio.run(supervisor.set_split("shop", {"canary": 50, "stable": 50}))
    assert (split.weights, split.file) == ({"stable": 50, "canary": 50}, FILE)
    assert weights(native) == [["stable", 50], ["canary", 50]]
    file.write_text(file.read_text() + "# nothing else\n")
    asyncio.run(supervisor.reload())
    assert weights(native) == [["stable", 50], ["canary", 50]]
    file.write_text(file.read_text().replace("canary = 5", "canary = 6"))
    asyncio.run(supervisor.reload())
    assert weights(native) == [["stable", 95], ["canary", 6]]
    assert asyncio.run(supervisor.split("shop")).weights == {"stable": 95, "canary": 6}
    assert supervisor.to_keep().splits == Splits()
    with pytest.raises(UnknownNameError, match="shop"):
        asyncio.run(supervisor.set_split("none", {"stable": 1}))


def test_clearing_goes_back_to_the_file() -> None:
    splits = Splits().with_weights("shop", FILE, {"stable": 0, "canary": 1})
    assert splits.without("shop") == Splits()


def test_a_successor_gets_them() -> None:
    splits = Splits().with_weights("shop", FILE, {"stable": 0, "canary": 1})
    assert Splits.load(splits.dump()) == splits


@pytest.mark.parametrize("wrong", [{}, {"stable": 1}, {"stable": 1, "canary": 1, "x": 1}, {"stable": 0, "canary": 0}])
def test_weights_must_fit_the_split(wrong: dict[str, int]) -> None:
    with pytest.raises(SplitError):
        Splits().with_weights("shop", FILE, wrong)
