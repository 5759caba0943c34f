"""What an operator sets while `state_dir` cannot be written is told to be unsaved, and is there once it can be."""

import json
import resource
import signal
from pathlib import Path

import pytest
from evenly.control.keeper import LONGEST_SECONDS

from ..support.balancer import Balancer, configuration, run_verb
from ..support.wire import DEADLINE

RETRIED = LONGEST_SECONDS + DEADLINE
"""Within which what can be written again is."""

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
NO_ROOM = ("bash", "-c", 'ulimit -S -f 0; exec "$@"', "evenly")
"""As on a full disk, a file can be made and nothing be written to it."""


@pytest.fixture
def serve(run, port, servers, tmp_path):
    """Starts the same file again and again; its state's place, and the address of its endpoint."""
    endpoint = str(next(iter(servers("a"))))
    state = tmp_path / "state"
    text = configuration(endpoint, bind=port(), top=f'state_dir = "{state}"')
    return (lambda **options: run(text, **options)), state, endpoint


def verb(balancer: Balancer, *arguments: str) -> str:
    """What a verb warns of."""
    return run_verb(*arguments, "--admin", str(balancer.admin_path)).stderr


def test_a_file_in_place_of_the_directory(serve) -> None:
    """It is said at the start and by every verb, and made good by itself."""
    start, state, endpoint = serve
    state.write_text("")
    balancer: Balancer = start()
    problem = f"{balancer.file}:3: state_dir: {state} is not a directory; what is set at run time would end with"
    assert problem in run_verb("check", str(balancer.file)).stderr
    assert any(problem in line for line in balancer.log.all)
    told = " ".join(verb(balancer, "drain", "app", endpoint).split())
    assert f"unless it can be written before: {state}: Not a directory" in told
    assert "unless it can be written before" in " ".join(verb(balancer, "weight", "app", endpoint, "7").split())
    answer = balancer.set_endpoint(endpoint, state="maintenance")
    assert (answer["kept"], answer["unsaved"]) == (False, f"{state}: Not a directory")
    assert balancer.metric("evenly_state_unsaved", file="edits.json") == 1
    state.unlink()
    balancer.wait_log("state kept again", file="edits.json", deadline=RETRIED)
    assert balancer.metric("evenly_state_unsaved", file="edits.json") == 0
    assert balancer.set_endpoint(endpoint, weight=8)["kept"]
    assert verb(balancer, "weight", "app", endpoint, "9") == ""
    balancer.signal(signal.SIGKILL)
    balancer.wait()
    again = start().endpoint(endpoint)
    assert (again["state"], again["weight"]) == ("maintenance", 9)


def test_a_full_disk(serve) -> None:
    """What was set meanwhile is there after the restart that follows as soon as there is room again."""
    start, state, endpoint = serve
    balancer: Balancer = start(through=NO_ROOM)
    answer = balancer.set_endpoint(endpoint, state="draining")
    assert (answer["kept"], answer["unsaved"]) == (False, f"{state}: File too large")
    assert list(state.iterdir()) == []
    resource.prlimit(balancer.pid, resource.RLIMIT_FSIZE, UNLIMITED)
    balancer.signal(signal.SIGTERM)
    balancer.wait()
    states = json.loads(Path(state, "edits.json").read_text())["content"]["states"]
    assert states["app"][endpoint]["state"] == "draining"
    assert start().endpoint(endpoint)["state"] == "draining"


def test_an_upgrade_writes_what_its_predecessor_could_not(serve) -> None:
    """The limit is inherited, and lifted for the process that goes on."""
    start, _, endpoint = serve
    first: Balancer = start(through=NO_ROOM)
    assert not first.set_endpoint(endpoint, state="draining")["kept"]
    first.follow(first.admin.post("/api/upgrade").json()["pid"])
    assert first.wait() == 0
    resource.prlimit(first.pid, resource.RLIMIT_FSIZE, UNLIMITED)
    first.wait_log("state kept again", file="edits.json", deadline=RETRIED)
    first.signal(signal.SIGKILL)
    assert start().endpoint(endpoint)["state"] == "draining"
