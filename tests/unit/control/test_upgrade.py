"""What two processes say to each other in an upgrade, and what happens when one of them does not."""

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator

import pytest
from evenly.config.edits import Edits
from evenly.control.splits import Splits
from evenly.control.status import OperatorState
from evenly.control.store import Kept, Operated
from evenly.control.upgrade.handover import Inheritance, receive_inheritance, send_inheritance, send_message
from evenly.control.upgrade.predecessor import VARIABLE, DismissedError, Predecessor
from evenly.control.upgrade.successor import UpgradeError, start_successor

# A successor as a program: takes what it gets, and then does what the test wants.
SUCCESSOR = """
import os, socket, sys
from evenly.control.upgrade.predecessor import Predecessor
predecessor = Predecessor.from_environment()
inherited = predecessor.inheritance()
{act}
"""


def listening() -> socket.socket:
    """A listening socket on a free port."""
    return socket.create_server(("127.0.0.1", 0))


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_sockets_health_and_the_admin_socket_arrive(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    with listening() as first, listening() as second:
        left = Inheritance([("a:1", [first.fileno()] * 300), ("b:2", [second.fileno()])], "{}", ("/x", first.fileno()))
        sender = threading.Thread(target=send_inheritance, args=(ours, left))
        sender.start()
        got = receive_inheritance(theirs)
        sender.join()
        assert [(address, len(group)) for address, group in got.sockets] == [("a:1", 300), ("b:2", 1)]
        assert got.health == "{}"
        assert got.admin is not None
        assert got.admin[0] == "/x"
        with socket.socket(fileno=os.dup(got.sockets[1][1][0])) as same:
            assert same.getsockname() == second.getsockname()
        assert not os.get_inheritable(got.admin[1])
        got.close()


@pytest.mark.parametrize("kept", [None, {}, {"edits": {}, "found": {}}, {"edits": 3, "found": 4}])
def test_what_a_process_of_another_version_kept_does_not_stop_it(
    pair: tuple[socket.socket, socket.socket], kept: object
) -> None:
    ours, theirs = pair
    send_message(ours, {"version": "0.0.1", "health": "[]", "sockets": [], "admin": None, "kept": kept})
    assert receive_inheritance(theirs) == Inheritance(health="[]")


def test_what_was_kept_arrives(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    kept = Kept(
        Edits().with_pool("blue", {"endpoints": []}),
        {"app": {"10.0.0.1:80": Operated(OperatorState.DRAINING)}},
        Splits().with_weights("r", {"a": 1, "b": 0}, {"a": 0, "b": 1}),
        {"zone a": 2e9},
    )
    send_inheritance(ours, Inheritance(health="[]", kept=kept))
    assert receive_inheritance(theirs).kept == kept


def test_sockets_of_no_listener_are_closed() -> None:
    with listening() as kept, listening() as closed:
        inheritance = Inheritance([("a:1", [os.dup(kept.fileno())]), ("b:2", [gone := os.dup(closed.fileno())])])
        sockets = inheritance.only({"a:1"})
        assert [address for address, _ in sockets] == ["a:1"]
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(gone)
        os.close(sockets[0][1][0])


def test_the_variable_is_not_passed_on(pair: tuple[socket.socket, socket.socket]) -> None:
    environment = {VARIABLE: str(os.dup(pair[1].fileno())), "HOME": "/"}
    assert Predecessor.from_environment(environment) is not None
    assert environment == {"HOME": "/"}
    assert Predecessor.from_environment(environment) is None


def test_a_predecessor_that_ends_dismisses(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ours.close()
    predecessor = Predecessor(theirs)
    with pytest.raises(DismissedError):
        predecessor.inheritance()
    with pytest.raises(DismissedError):
        predecessor.confirm()


def start(act: str, inheritance: Inheritance) -> object:
    """Starts a successor that does `act`."""
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ.get("PATH", "")}
    return start_successor(inheritance, [sys.executable, "-c", SUCCESSOR.format(act=act)], environment)


def test_a_successor_serves_on_the_same_socket_and_waits_for_the_word() -> None:
    act = """
listener = socket.socket(fileno=inherited.sockets[0][1][0])
predecessor.confirm()
client, _ = listener.accept()
client.sendall(inherited.health.encode())
"""
    with listening() as listener:
        inheritance = Inheritance([("a:1", [listener.fileno()])], json.dumps({"kept": 1}))
        successor = start(act, inheritance)
        successor.take_over()  # type: ignore[attr-defined]
        with socket.create_connection(listener.getsockname()) as client:
            assert client.makefile().read() == '{"kept": 1}'
        os.waitpid(successor.pid, 0)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("predecessor.fail('evenly.toml:3: nonsense')", "evenly.toml:3: nonsense"),
        ("sys.exit(7)", "exit code 7"),
        ("os.kill(os.getpid(), 9)", "signal 9"),
    ],
)
def test_a_successor_that_fails_says_or_shows_why(act: str, reason: str) -> None:
    with listening() as listener, pytest.raises(UpgradeError, match=reason):
        start(act, Inheritance([("a:1", [listener.fileno()])]))


def test_a_successor_that_is_late_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evenly.control.upgrade.successor.READY_SECONDS", 0.05)
    with listening() as listener, pytest.raises(UpgradeError, match="within"):
        start(
            "sys.stdin.read() and None; import threading; threading.Event().wait()",
            Inheritance([("a:1", [listener.fileno()])]),
        )


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(UpgradeError, match="cannot start"):
        start_successor(Inheritance(), ["/nowhere/python"], {})
