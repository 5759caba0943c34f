"""Connections of HTTP/3 last: through changes of address, reloads and workers, until they are told that they end."""

import signal

import pytest

from ..support.balancer import run_verb
from ..support.http3 import Http3Client
from ..support.wire import DEADLINE

NO_ERROR, CONNECTION_REFUSED = 0x100, 0x2


def test_a_client_that_changes_its_address(h3, servers) -> None:
    """Its connection goes on, with a request under way; the log knows where it is now."""
    backends = servers("a")
    client, serving = h3(*backends)
    assert client.get("/before").status == 200
    held = client.begin("/hold")
    serving.balancer.until(lambda: backends[0].requests["/hold"])
    _, number = client.move()
    assert client.get("/after").status == 200
    assert serving.balancer.access(target="/after")["peer"] == f"127.0.0.1:{number}"
    backends.release()
    assert client.answer(held).status == 200
    assert serving.balancer.metric("evenly_http3_migrations_total", listener="web") == 1
    assert serving.balancer.metric("evenly_http3_connections_total", listener="web") == 1


def test_another_address_gives_no_rights_at_once(h3, servers) -> None:
    """Anybody can write any address on a packet: who comes from an allowed one must have been there for a while."""
    routes = (
        '[[routes]]\npath = "/inside"\naccess = { allow = ["127.0.0.2/32"] }\npool = "app"\n[[routes]]\npool = "app"\n'
    )
    client, serving = h3(*servers("a"), routes=routes)
    assert client.get("/inside").status == 403
    client.move("127.0.0.2")
    assert client.get("/inside").status == 403
    assert client.get("/").status == 200
    assert serving.balancer.access(target="/")["client"] == "127.0.0.1"
    assert serving.balancer.metric("evenly_http3_migrations_total", listener="web") == 0


def test_packets_find_their_worker(h3, servers) -> None:
    """With several workers a client that moves comes to another one's socket at times, and never notices."""
    _, serving = h3(*servers("a"), workers=4)
    client = serving.h3()
    moves = 0
    while serving.balancer.metric("evenly_http3_handed_over_total", listener="web") == 0:
        assert moves < 50, "always the same worker"
        client.move()
        moves += 1
        assert client.get(f"/{moves}").status == 200
    others = [serving.h3() for _ in range(8)]
    assert all(other.get("/").status == 200 for other in others)
    assert serving.balancer.metric("evenly_http3_packets_lost_total", reason="queue-full") == 0


def test_a_reload_concerns_nobody(h3, servers, authority) -> None:
    """Connections stay through it, and get the new routes; new ones are shown the new certificate."""
    client, serving = h3(*servers("a"))
    text = serving.balancer.file.read_text()
    assert client.get("/").body == b"a"
    authority.issue("shop.test")
    other = authority.issue("other.test").table("other")
    text = text.replace('certificates = "site"', 'certificates = ["site", "other"]') + other
    text += '[[routes]]\npath = "/new"\nrespond = { status = 200, body = "new" }\n[[routes]]\npool = "app"\n'
    serving.balancer.reload(text)
    assert client.get("/new").body == b"new"
    assert serving.h3(name="other.test").get("/").status == 200
    assert serving.balancer.metric("evenly_http3_connections_total", listener="web") == 2


def test_it_is_turned_off_and_on(h3, servers, authority) -> None:
    """What is under way is finished, then the client is told; other versions are not concerned."""
    backends = servers("a")
    client, serving = h3(*backends)
    text = serving.balancer.file.read_text()
    held = client.begin("/hold")
    serving.balancer.until(lambda: backends[0].requests["/hold"])
    with authority.connect(serving.port.address) as other:
        assert other.ask("/", host="shop.test").one("Alt-Svc")
        serving.balancer.reload(text.replace("http3 = true", "http3 = false"))
        assert other.ask("/", host="shop.test").one("Alt-Svc") is None
    backends.release()
    assert client.answer(held).status == 200
    assert client.end() == NO_ERROR
    serving.balancer.reload(text)
    assert serving.h3().get("/").status == 200


def test_shutdown(h3, servers) -> None:
    """GOAWAY, and the end after what is under way; the process waits for it."""
    backends = servers("a")
    client, serving = h3(*backends)
    held = client.begin("/hold")
    serving.balancer.until(lambda: backends[0].requests["/hold"])
    serving.balancer.signal(signal.SIGTERM)
    serving.balancer.wait_log("shutting down")
    backends.release()
    assert client.answer(held).status == 200
    assert client.end() == NO_ERROR
    assert serving.balancer.wait() == 0


def test_the_end_of_patience(h3, servers) -> None:
    """Whoever is cut by the end of the process is told so."""
    backends = servers("a")
    client, serving = h3(*backends)
    held = client.begin("/hold")
    serving.balancer.until(lambda: backends[0].requests["/hold"])
    serving.balancer.signal(signal.SIGTERM)
    serving.balancer.wait_log("shutting down")
    serving.balancer.signal(signal.SIGTERM)
    client.until(lambda: client.closed)
    assert client.closed[0] == NO_ERROR
    assert not client.answers[held].is_ended


def test_upgrade(h3, servers) -> None:
    """The old process finishes what is under way, though the new one reads the packets; then its client is told."""
    backends = servers("a")
    client, serving = h3(*backends, workers=2)
    held = client.begin("/hold")
    serving.balancer.until(lambda: backends[0].requests["/hold"])
    run_verb("upgrade", "--admin", str(serving.balancer.admin_path))
    pid = serving.balancer.status()["pid"]
    assert pid != serving.balancer.pid
    serving.balancer.follow(pid)
    other = serving.h3()
    assert other.get("/").status == 200
    backends.release()
    assert client.answer(held).status == 200
    assert client.end() == NO_ERROR
    assert serving.balancer.wait() == 0
    assert serving.balancer.metric("evenly_http3_handed_over_total", listener="web") > 0
    assert other.get("/").status == 200
    assert serving.h3(ticket=client.tickets[0]).is_resumed


def test_one_upgrade_after_the_other(h3, servers) -> None:
    """Packets find their way back through a process between."""
    backends = servers("a")
    client, serving = h3(*backends)
    held = client.begin("/hold")
    serving.balancer.until(lambda: backends[0].requests["/hold"])
    between = None
    for _ in range(2):
        run_verb("upgrade", "--admin", str(serving.balancer.admin_path))
        serving.balancer.follow(serving.balancer.status()["pid"])
        if between is None:
            between = serving.h3()
            kept = between.begin("/hold")
            serving.balancer.until(lambda: backends[0].requests["/hold"] == 2)
    backends.release()
    for each, stream in ((client, held), (between, kept)):
        assert each.answer(stream).status == 200
        assert each.end() == NO_ERROR
    assert serving.h3().get("/").status == 200
    assert serving.balancer.wait() == 0


def test_many_handshakes_under_way(h3, servers) -> None:
    """Then clients have to show that they are where they say, which costs them a round trip and nothing else."""
    _, serving = h3(*servers("a"), listener='timeouts = { idle = "1m" }')
    begun = [serving.h3(waits=False) for _ in range(110)]
    for each in begun:
        each.flush()
    serving.balancer.until(lambda: serving.balancer.metric("evenly_http3_retries_total", listener="web"))
    retried = serving.h3()
    assert retried.quic._retry_count == 1
    assert retried.get("/").status == 200


def test_a_handshake_has_a_deadline(h3, servers) -> None:
    """A client that begins and says nothing more is dropped, counted and logged."""
    _, serving = h3(*servers("a"))
    text = serving.balancer.file.read_text()
    tls = 'tls = { certificates = "site", handshake_timeout = "100ms" }'
    serving.balancer.reload(text.replace('tls = { certificates = "site" }', tls))
    serving.h3(waits=False).flush()
    assert serving.balancer.access(reason="tls-timeout")["protocol"] == "HTTP/3.0"
    assert serving.balancer.metric("evenly_tls_handshake_failures_total", listener="web") == 1


def test_nothing_in_common(h3, servers) -> None:
    """A protocol or a name that is not here: the client is told by an alert, and so is the log."""
    _, serving = h3(*servers("a"))
    assert serving.h3(alpn_protocols=["other"]).end() == 0x100 + 120
    assert serving.balancer.access(reason="tls-no-match")["protocol"] == "HTTP/3.0"
    text = serving.balancer.file.read_text()
    tls = 'tls = { certificates = "site", strict_sni = true }'
    serving.balancer.reload(text.replace('tls = { certificates = "site" }', tls))
    assert serving.h3(name="other.test").closed
    assert serving.balancer.access(reason="tls-name-unknown")["protocol"] == "HTTP/3.0"


def test_a_process_that_was_killed(h3, servers, run, tmp_path) -> None:
    """The next one with the same secret tells its clients that their connections are gone (RFC 9000 §10.3)."""
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("0123456789abcdef")
    client, serving = h3(*servers("a"), routes=f'[session_tickets]\nsecret_file = "{secret}"\n')
    assert client.get("/").status == 200
    known = client.quic._peer_cid_available[0]
    text = serving.balancer.file.read_text()
    serving.balancer.signal(signal.SIGKILL)
    serving.balancer.wait()
    run(text)
    # A packet of that connection, and larger than what may answer it (§10.3.3).
    client.socket.sendto(b"\x40" + known.cid + bytes(60), serving.port.address)
    client.socket.settimeout(DEADLINE)
    # What the first process has sent last may still be there.
    while client.socket.recv(2048)[-16:] != known.stateless_reset_token:
        pass


def test_an_idle_connection_ends(h3, servers) -> None:
    """After the listener's own time, and with a word."""
    client, serving = h3(*servers("a"), listener='timeouts = { idle = "200ms" }')
    assert client.end() == NO_ERROR
    serving.balancer.until(lambda: serving.balancer.status()["connections"] == 0)


def test_a_response_on_its_way_is_not_idleness(h3, servers) -> None:
    """A client that is slow to take the end of a response gets it, long after everything was said."""
    client, serving = h3(*servers("a"), listener='timeouts = { idle = "300ms" }')
    slow = client.begin("/bytes/500000")
    assert serving.balancer.access(target="/bytes/500000")["bytes_out"] > 500_000
    # Its end says that the time of an idle connection is over.
    assert serving.h3().end() == NO_ERROR
    answer = client.answer(slow)
    assert (answer.is_ended, len(answer.body)) == (True, 500_000)


@pytest.mark.parametrize("option", ["max_connections_per_client = 5", ""])
def test_who_is_counted_shows_where_it_is(h3, servers, option) -> None:
    """Where one client has a limit, nobody uses it up under a forged address (Retry)."""
    client, serving = h3(*servers("a"), listener=option)
    assert client.get("/").status == 200
    # More than one, if the client did not wait for the first.
    assert bool(serving.balancer.metric("evenly_http3_retries_total", listener="web")) == bool(option)


@pytest.mark.parametrize("option", ["max_connections = 1", "max_connections_per_client = 1"])
def test_limits_on_connections(h3, servers, option) -> None:
    """The same as over TCP; one too many is refused at once, and there is room again when one has gone."""
    client, serving = h3(*servers("a"), listener=option)
    assert serving.h3().end() == CONNECTION_REFUSED
    assert client.get("/").status == 200
    client.quic.close()
    client.flush()
    serving.balancer.until(lambda: serving.balancer.status()["connections"] == 0)
    assert serving.h3().get("/").status == 200


def test_who_may_not_come_in(h3, servers) -> None:
    """Is refused, or hears nothing, as the listener says; a connection that is there ends with a word."""
    client, serving = h3(*servers("a"))
    text = serving.balancer.file.read_text()
    serving.balancer.reload(text.replace("http3 = true", 'http3 = true\ndeny = "127.0.0.1"'))
    assert client.end() == NO_ERROR
    assert serving.h3().end() == CONNECTION_REFUSED
    assert serving.balancer.access(reason="client-denied")["protocol"] == "HTTP/3.0"
    serving.balancer.reload(text.replace("http3 = true", 'http3 = true\ndeny = "127.0.0.1"\non_deny = "drop"'))
    unheard: Http3Client = serving.h3(waits=False)
    unheard.flush()
    serving.balancer.until(lambda: serving.balancer.metric("evenly_terminations_total", reason="client-denied") >= 3)
    assert not unheard.closed
