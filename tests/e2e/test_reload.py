"""A reload changes what it says and touches nothing else; a bad file changes nothing at all."""

import asyncio
import os
import signal
import subprocess

import pytest
import websockets

from ..support.balancer import START, configuration, console_script, run_verb
from ..support.endpoint import OK, Endpoint
from ..support.load import Load
from ..support.server import pattern
from ..support.wire import Peer

RELOADS = 200


def test_two_hundred_reloads_under_load(run, port, servers) -> None:
    """Pools, routes and a listener change all the time; no request fails, and a long download arrives whole."""
    backends = servers("a", "b", "c")
    bound, second = port(), port()

    def text(number: int) -> str:
        listed = list(backends)[: 2 + number % 2]
        routes = f'[[routes]]\npath = "/only-{number}"\nrespond = {{ body = "{number}" }}\n[[routes]]\npool = "app"\n'
        balance = ("round-robin", "least-requests", "maglev")[number % 3]
        other = f'[listeners.other]\nbind = "{second}"\n' if number % 2 else ""
        listener = f"max_connections = {10_000 + number}\n{other}"
        return configuration(*listed, bind=bound, pool=f'balance = "{balance}"', listener=listener, routes=routes)

    balancer = run(text(0).replace("workers = 1", "workers = 2"))
    size = 200_000_000
    with Peer.connect(bound.address) as download, Load(bound, connections=8) as load:
        download.send(f"GET /bytes/{size} HTTP/1.1\r\nHost: a\r\n\r\n")
        download.read_head()
        received = 0
        for number in range(1, RELOADS + 1):
            changes = balancer.reload(text(number).replace("workers = 1", "workers = 2"))
            assert changes["routes"]["added"] or changes["routes"]["changed"]
            piece = download.read_exactly(500_000)
            assert piece == pattern(received, len(piece))
            received += len(piece)
        with Peer.connect(bound.address) as client:
            assert client.ask(f"/only-{RELOADS}").text == str(RELOADS)
        while received < size:
            piece = download.receive()
            assert piece == pattern(received, len(piece))
            received += len(piece)
    load.assert_clean()
    assert balancer.status()["generation"] == RELOADS + 1


def test_an_open_websocket_stays(web) -> None:
    """A conversation goes on through reloads, even when its route and pool are gone."""

    async def talk() -> None:
        async def echo(connection) -> None:
            async for message in connection:
                await connection.send(message)

        async with websockets.serve(echo, "127.0.0.1", 0) as server:
            address = "{}:{}".format(*next(iter(server.sockets)).getsockname())
            serving = await asyncio.to_thread(web, address)
            async with websockets.connect(f"ws://{serving.port}/") as client:
                text = serving.balancer.file.read_text()
                for number in range(10):
                    path = f'\n[[routes]]\npath = "/{number}"\nrespond = {{ body = "new" }}\n'
                    await asyncio.to_thread(serving.balancer.reload, text + path)
                    await client.send(str(number))
                    assert await client.recv() == str(number)

    asyncio.run(asyncio.wait_for(talk(), 60))


def test_idle_connections_stay(web, servers) -> None:
    """A keep-alive connection with nothing under way outlives a reload and gets the new configuration."""
    serving = web(*servers("a"))
    client = serving.connect()
    assert client.ask().text == "a"
    text = serving.balancer.file.read_text()
    serving.balancer.reload(text + '\n[[routes]]\nrespond = { body = "new" }\n')
    assert client.ask().text == "new"


def test_pools_keep_their_connections(web, endpoint) -> None:
    """Connections to endpoints that stay are not opened anew."""
    serving = web(endpoint)
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve()
    client.read_response()
    text = serving.balancer.file.read_text()
    serving.balancer.reload(text.replace("[pools.app]", '[pools.app]\nbalance = "random"'))
    client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert peer.read_request().target == "/2"


@pytest.mark.parametrize("under_way", [True, False], ids=["under-way", "idle"])
def test_a_new_pool_gets_no_old_connection(run, port, endpoint, under_way) -> None:
    """A connection to an endpoint that a reload removed is never used for one that a later reload adds."""
    bound = port()

    def text(**pools: Endpoint) -> str:
        routes = [f'[[routes]]\npath = "/{name}"\npool = "{name}"\n' for name in pools]
        listed = [f'[pools.{name}]\nendpoints = ["{each}"]\n' for name, each in pools.items()]
        return "\n".join(["workers = 1", f'[listeners.web]\nbind = "{bound}"', *listed, *routes])

    with Endpoint() as other, Endpoint() as added:
        balancer = run(text(old=endpoint))
        with Peer.connect(bound.address) as client:
            client.send("GET /old HTTP/1.1\r\nHost: a\r\n\r\n")
            peer = endpoint.accept()
            peer.read_request()
            if not under_way:
                peer.send(OK)
                client.read_response()
            balancer.reload(text(other=other))
            balancer.reload(text(other=other, added=added))
            if under_way:
                peer.send(OK)
                client.read_response()
            client.send("GET /added HTTP/1.1\r\nHost: a\r\n\r\n")
            assert added.serve()[1].target == "/added"
            assert client.read_response().status == 200
            peer.expect_end()


def test_listeners_come_and_go(run, port, servers) -> None:
    """A new listener serves, a removed one is gone, what is under way there is finished."""
    backends = servers("a")
    one, two = port(), port()
    balancer = run(configuration(*backends, bind=one))
    with Peer.connect(one.address) as under_way:
        under_way.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
        balancer.until(lambda: backends[0].requests["/hold"])
        changes = balancer.reload(configuration(*backends, bind=two))
        assert changes["listeners"]["changed"] == ["web"]
        with Peer.connect(two.address) as client:
            assert client.ask().text == "a"
        with pytest.raises(ConnectionRefusedError):
            Peer.connect(one.address)
        backends.release()
        assert under_way.read_response().status == 200


BAD = {
    "unknown key": ("[pools.app]", "[pools.app]\nbalanse = 1", "balanse"),
    "no such pool": ("[pools.app]", '[[routes]]\npool = "aap"\n[pools.app]', "aap"),
    "not TOML": ("[pools.app]", "[pools.app", "evenly.toml"),
    "bad expression": ("[pools.app]", '[[routes]]\npath_regex = "("\npool = "app"\n[pools.app]', "path_regex"),
}


@pytest.mark.parametrize("mistake", BAD)
def test_a_bad_file_changes_nothing(web, servers, mistake) -> None:
    """It is refused as a whole, with file and key; the running configuration goes on."""
    serving = web(*servers("a"))
    old, new, named = BAD[mistake]
    good = serving.balancer.file.read_text()
    serving.balancer.file.write_text(good.replace(old, new))
    failed = run_verb("reload", "--admin", str(serving.balancer.admin_path), expect=2)
    assert named in failed.stderr
    assert "evenly.toml" in failed.stderr
    assert serving.balancer.status()["generation"] == 1
    assert serving.connect().ask().text == "a"
    assert serving.balancer.reload(good + "\n[[routes]]\nrespond = {}\n")["generation"] == 2


def test_a_pipe_in_place_of_the_file_holds_nothing_up(web, servers) -> None:
    """Nobody waits for what it will say: it is refused, and the next good file counts."""
    serving = web(*servers("a"))
    file, text = serving.balancer.file, serving.balancer.file.read_text()
    file.unlink()
    os.mkfifo(file)
    told = run_verb("check", str(file), expect=2)
    assert f"{file}: a pipe, not a file" in told.stderr
    serving.balancer.signal(signal.SIGHUP)
    serving.balancer.wait_log("reload refused", problem=f"{file}: a pipe, not a file")
    file.unlink()
    assert serving.balancer.reload(text.replace("app", "other"))["pools"]["added"] == ["other"]
    given = subprocess.run([console_script(), "check", "/dev/stdin"], input=text, text=True, check=True, timeout=START)
    assert given.returncode == 0


def test_an_address_in_use_changes_nothing(web, servers, endpoint) -> None:
    """A listener that cannot be bound keeps the old configuration."""
    serving = web(*servers("a"))
    text = serving.balancer.file.read_text()
    serving.balancer.file.write_text(text.replace(f'bind = "{serving.port}"', f'bind = "{endpoint}"'))
    failed = run_verb("reload", "--admin", str(serving.balancer.admin_path), expect=1)
    assert str(endpoint) in failed.stderr
    assert serving.connect().ask().text == "a"


def test_sighup(web, servers) -> None:
    """SIGHUP reloads too, and says so in the log."""
    serving = web(*servers("a"))
    serving.balancer.file.write_text(serving.balancer.file.read_text() + '\n[[routes]]\nrespond = { body = "new" }\n')
    serving.balancer.signal(signal.SIGHUP)
    serving.balancer.wait_log("reloaded")
    assert serving.connect().ask().text == "new"


def test_watch(run, port, servers) -> None:
    """With --watch a changed file is enough, also one that an editor replaces."""
    backends = servers("a")
    bound = port()
    balancer = run(configuration(*backends, bind=bound), arguments=("--watch",))
    for number in range(2):
        seen = len(balancer.log.all)
        replacement = balancer.directory / "new"
        replacement.write_text(
            configuration(*backends, bind=bound) + f'[[routes]]\nrespond = {{ body = "{number}" }}\n'
        )
        replacement.replace(balancer.file)
        balancer.wait_log("reloaded", seen)
        with Peer.connect(bound.address) as client:
            assert client.ask().text == str(number)
