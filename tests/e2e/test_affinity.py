"""Affinity: a client stays with its endpoint, by a signed cookie, the application's own, or a value of its requests."""

import re

import pytest

from ..support.balancer import configuration, run_verb
from ..support.endpoint import OK, Endpoint
from ..support.server import ServerProcess
from ..support.wire import Message, Peer

COOKIE = 'affinity = { cookie = "evenly" }'


def cookie(answer: Message) -> str | None:
    """What the client sends back: the cookie that the answer sets, without its attributes."""
    line = answer.one("Set-Cookie")
    return None if line is None else line.split(";")[0]


def asked(client: Peer, cookie: str | None, *fields: str, path: str = "/") -> Message:
    """Asks with a cookie."""
    return client.ask(path, *([] if cookie is None else [f"Cookie: a=b; {cookie}; c=d"]), *fields)


def backup(address: object) -> str:
    """An endpoint that is used when no other can be."""
    return f'{{ address = "{address}", backup = true }}'


def secret(tmp_path, name: str, text: str) -> str:
    """A secret's file."""
    file = tmp_path / name
    file.write_text(text * 32)
    file.chmod(0o600)
    return str(file)


def test_a_signed_cookie(web, servers) -> None:
    """It is set once, says nothing of the endpoint, and is heeded on every connection."""
    backends = servers("a", "b", "c")
    serving = web(*backends, pool=COOKIE, top='access_log = "-"')
    client = serving.connect()
    first = client.ask("/first")
    line = first.one("Set-Cookie")
    assert line is not None
    assert re.fullmatch(r"evenly=[A-Za-z0-9_-]{32}; Path=/; HttpOnly; SameSite=Lax", line)
    assert not any(part in line for each in backends for part in (str(each), str(each).split(":")[1]))
    for _ in range(7):
        again = asked(serving.connect(), cookie(first), path="/again")
        assert (again.text, again.one("Set-Cookie")) == (first.text, None)
    assert {client.ask().text for _ in range(6)} == {"a", "b", "c"}, "without it, the balancer's turn"
    assert serving.balancer.access(target="/first")["affinity"] == "new"
    assert serving.balancer.access(target="/again")["affinity"] == "hit"
    assert serving.balancer.metric("evenly_affinity_requests_total", pool="app", outcome="hit") == 7
    assert serving.balancer.status()["pools"][0]["affinity"] == {"by": "cookie evenly", "entries": None}
    shown = run_verb("status", "--admin", str(serving.balancer.admin_path)).stdout
    assert "affinity by cookie evenly" in shown


def test_a_tampered_cookie_is_ignored_and_counted(web, servers) -> None:
    """Whatever is sent, it is an ordinary request of a new client."""
    serving = web(*servers("a", "b"), pool=COOKIE)
    client = serving.connect()
    good = cookie(client.ask())
    assert good is not None
    turned = good[:-1] + ("A" if good[-1] != "A" else "B")
    for forged in (turned, "evenly=127.0.0.1:80", "evenly=", "evenly=" + "x" * 4000, 'evenly="\\', good + "x"):
        answer = asked(client, forged)
        assert (answer.status, cookie(answer) is not None) == (200, True)
    serving.balancer.until(
        lambda: serving.balancer.metric("evenly_affinity_cookies_ignored_total", reason="tampered") == 6
    )
    both = asked(client, f"{turned}; {good}")
    assert both.one("Set-Cookie") is None, "the good one of two counts"


def test_draining_and_dying(web, servers) -> None:
    """Clients of an endpoint that drains stay and new ones go elsewhere; in maintenance it loses them, once."""
    backends = servers("a", "b")
    serving = web(*backends, pool=COOKIE, top='access_log = "-"')
    client = serving.connect()
    first = client.ask()
    home = next(each for each in backends if each.name == first.text)
    serving.balancer.set_endpoint(home, state="draining")
    assert {asked(client, cookie(first)).text for _ in range(5)} == {home.name}
    assert home.name not in {client.ask().text for _ in range(5)}
    serving.balancer.set_endpoint(home, state="maintenance")
    moved = asked(client, cookie(first), path="/moved")
    assert moved.text != home.name
    assert serving.balancer.access(target="/moved")["affinity"] == "moved"
    serving.balancer.set_endpoint(home, state="ready")
    for _ in range(5):
        again = asked(client, cookie(moved))
        assert (again.text, again.one("Set-Cookie")) == (moved.text, None)


def test_whoever_answers_keeps_the_client(web, servers) -> None:
    """An endpoint that is gone loses its client to the one that answers, in the same answer."""
    with ServerProcess("gone") as gone:
        serving = web(gone, servers("left")[0], pool=COOKIE)
        client = serving.connect()
        first = next(answer for answer in (client.ask(), client.ask()) if answer.text == "gone")
    moved = asked(serving.connect(), cookie(first))
    assert (moved.status, moved.text) == (200, "left")
    assert cookie(moved) not in {None, cookie(first)}
    again = asked(serving.connect(), cookie(moved))
    assert (again.text, again.one("Set-Cookie")) == ("left", None)


def test_a_full_endpoint_is_left_for_once(web, endpoint) -> None:
    """Its client is served by one with room, and waits only when all are full; afterwards it is back."""

    def limited(address: object) -> str:
        return f'{{ address = "{address}", max_connections = 1 }}'

    with Endpoint() as other:
        serving = web(
            limited(endpoint), limited(other), pool=f'{COOKIE}\nqueue = {{ timeout = "10s" }}', top='access_log = "-"'
        )
        balancer = serving.balancer

        def send(path: str, *fields: str) -> Peer:
            client = serving.connect()
            client.send("\r\n".join([f"GET {path} HTTP/1.1", "Host: a", *fields, "", ""]))
            return client

        balancer.set_endpoint(other, state="draining")
        client = send("/new")
        home, _ = endpoint.serve()
        bound = f"Cookie: {cookie(client.read_response())}"
        balancer.set_endpoint(other, state="ready")

        held = send("/held", bound)
        assert home.read_request().target == "/held"
        client = send("/spilled", bound)
        away, request = other.serve()
        assert request.target == "/spilled"
        assert client.read_response().one("Set-Cookie") is None, "it goes on belonging to its own"

        holding = send("/holding")
        assert away.read_request().target == "/holding"
        client = send("/queued", bound)
        balancer.until(lambda: balancer.metric("evenly_pool_queued") == 1)
        away.send(OK)
        assert holding.read_response().status == 200
        assert away.read_request().target == "/queued", "the first with room"
        away.send(OK)
        assert client.read_response().status == 200

        home.send(OK)
        assert held.read_response().status == 200
        client = send("/back", bound)
        assert home.read_request().target == "/back"
        home.send(OK)
        assert client.read_response().one("Set-Cookie") is None
        seen = {path: balancer.access(target=path)["affinity"] for path in ("/held", "/spilled", "/queued", "/back")}
        assert seen == {"/held": "hit", "/spilled": "spilled", "/queued": "spilled", "/back": "hit"}


def test_an_old_connection_is_no_reason_to_move(web, servers, endpoint) -> None:
    """When an endpoint closes an idle connection, its client's next request goes to it on a new one."""
    serving = web(endpoint, backup(servers("other")[0]), pool=COOKIE)
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve()
    first = client.read_response()
    client.send(f"GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie(first)}\r\n\r\n")
    peer.read_request()
    peer.close()
    endpoint.serve(OK)
    again = client.read_response()
    assert (again.text, again.one("Set-Cookie")) == ("ok", None)


def test_rotation_and_other_nodes(run, port, servers, tmp_path) -> None:
    """One secret is one cookie on every node; after a rotation the old one is exchanged, and later refused."""
    backends = servers("a", "b", "c")
    old, new = secret(tmp_path, "old", "o"), secret(tmp_path, "new", "n")
    bounds = port(), port()

    def text(bound: object, *secrets: str) -> str:
        options = zip(("secret_file", "previous_secret_file"), secrets, strict=False)
        table = "[affinity]\n" + "".join(f'{option} = "{file}"\n' for option, file in options)
        return configuration(*backends, bind=bound, pool=COOKIE, routes=table)

    nodes = [run(text(bound, old)) for bound in bounds]
    clients = [Peer.connect(bound.address) for bound in bounds]
    first = clients[0].ask()
    assert {asked(clients[1], cookie(first)).text for _ in range(5)} == {first.text}
    nodes[0].reload(text(bounds[0], new, old))
    exchanged = asked(clients[0], cookie(first))
    assert exchanged.text == first.text
    assert cookie(exchanged) not in {None, cookie(first)}
    assert asked(clients[0], cookie(exchanged)).one("Set-Cookie") is None
    nodes[0].reload(text(bounds[0], new))
    assert cookie(asked(clients[0], cookie(first))) is not None
    nodes[0].until(lambda: nodes[0].metric("evenly_affinity_cookies_ignored_total", reason="tampered") == 1)
    for client in clients:
        client.close()


def test_without_a_secret_the_process_has_one(run, port, servers) -> None:
    """It holds over reloads and over an upgrade, as does what is remembered."""
    backends = servers("a", "b", "c")
    bound = port()
    routes = f"[pools.kept]\nendpoints = [{', '.join(f'{str(each)!r}' for each in backends)}]\n"
    routes += 'affinity = { header = "X-User" }\n[[routes]]\npath = "/kept"\npool = "kept"\n[[routes]]\npool = "app"\n'
    balancer = run(configuration(*backends, bind=bound, pool=COOKIE, routes=routes))
    with Peer.connect(bound.address) as client:
        first = client.ask()
        users = {f"X-User: {user}": client.ask("/kept", f"X-User: {user}").text for user in range(20)}
        balancer.reload()
        assert asked(client, cookie(first)).one("Set-Cookie") is None
    run_verb("upgrade", "--admin", str(balancer.admin_path))
    balancer.follow(balancer.status()["pid"])
    with Peer.connect(bound.address) as client:
        again = asked(client, cookie(first))
        assert (again.text, again.one("Set-Cookie")) == (first.text, None)
        assert {user: client.ask("/kept", user).text for user in users} == users
        assert balancer.metric("evenly_affinity_entries", pool="kept") == 20


def test_the_applications_cookie_is_learned(web, endpoint, servers) -> None:
    """The endpoint that sets it gets whoever sends it."""
    other = backup(servers("other")[0])
    serving = web(endpoint, other, pool='affinity = { learn = "JSESSIONID" }', top='access_log = "-"')
    client = serving.connect()
    client.send("GET /login HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.serve(OK.replace("\r\n\r\n", "\r\nSet-Cookie: JSESSIONID=abc.1; Path=/; HttpOnly\r\n\r\n"))[0].close()
    assert client.read_response().one("Set-Cookie") == "JSESSIONID=abc.1; Path=/; HttpOnly"
    assert serving.balancer.access(target="/login")["affinity"] == "new"
    # From here on new clients go elsewhere: who still comes is known.
    serving.balancer.set_endpoint(endpoint, state="draining")
    assert client.ask().text == "other"
    client.send("GET /again HTTP/1.1\r\nHost: a\r\nCookie: JSESSIONID=abc.1\r\n\r\n")
    endpoint.serve()
    assert client.read_response().text == "ok"
    assert serving.balancer.access(target="/again")["affinity"] == "hit"


@pytest.mark.parametrize(
    ("affinity", "path", "field"),
    [('header = "X-User"', "/", "X-User: {}"), ('query = "user"', "/?user={}", "A: b"),
     ('source_ip = "/24"', "/", "X-Forwarded-For: 192.0.{}.1")],
)  # fmt: skip
def test_by_a_value(web, servers, affinity: str, path: str, field: str) -> None:
    """Each value keeps its endpoint; the table's bound and counters are told."""
    serving = web(
        *servers("a", "b", "c"), pool=f"affinity = {{ {affinity}, max_entries = 8 }}",
        listener='trusted_proxies = ["127.0.0.0/8"]',
    )  # fmt: skip
    client = serving.connect()

    def ask(user: int) -> str:
        return client.ask(path.format(user), field.format(user)).text

    homes = {user: ask(user) for user in range(8)}
    assert len(set(homes.values())) == 3
    assert all({user: ask(user) for user in homes} == homes for _ in range(3))
    assert serving.balancer.metric("evenly_affinity_removals_total", reason="evicted") == 0
    assert [ask(user) for user in range(8, 20)]
    assert serving.balancer.metric("evenly_affinity_entries", pool="app") == 8
    assert serving.balancer.metric("evenly_affinity_removals_total", reason="evicted") == 12
    assert serving.balancer.metric("evenly_affinity_lookups_total", result="hit") == 24


def test_tcp_by_source_ip(run, port, servers) -> None:
    """Connections from one address go to one endpoint."""
    bound = port()
    listed = ", ".join(f'"{each}"' for each in servers("a", "b", "c"))
    balancer = run(
        f'workers = 2\n[listeners.db]\nbind = "{bound}"\nprotocol = "tcp"\npool = "app"\n'
        f'[pools.app]\nendpoints = [{listed}]\naffinity = {{ source_ip = "/32" }}\n'
    )
    for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
        texts = set()
        for _ in range(6):
            with Peer.connect(bound.address, source=source) as client:
                texts.add(client.ask().text)
        assert len(texts) == 1
    assert balancer.metric("evenly_affinity_entries", pool="app") == 3


def test_a_client_stays_on_its_variant(web, servers) -> None:
    """The cookie of a split names the variant opaquely, and holds while its weights change."""
    stable, canary = servers("stable"), servers("canary")

    def routes(stable_weight: int, canary_weight: int) -> str:
        return (
            f'[pools.canary]\nendpoints = ["{canary[0]}"]\n[[routes]]\nname = "all"\n'
            f'split = {{ app = {stable_weight}, canary = {canary_weight} }}\nsplit_affinity = "variant"\n'
        )

    serving = web(stable[0], routes=routes(50, 50), top='access_log = "-"')
    client = serving.connect()
    seen: dict[str, str] = {}
    while len(seen) < 2:
        answer = client.ask()
        seen[answer.text] = cookie(answer) or ""
    assert all(re.fullmatch(r"variant=[A-Za-z0-9_-]{32}", each) for each in seen.values())
    serving.balancer.reload(serving.balancer.file.read_text().replace(routes(50, 50), routes(99, 1)))
    for text, kept in seen.items():
        for _ in range(10):
            answer = asked(client, kept, path=f"/{text}")
            assert (answer.text, answer.one("Set-Cookie")) == (text, None)
    assert serving.balancer.access(target="/canary")["affinity"] == "hit"
    serving.balancer.reload(serving.balancer.file.read_text().replace(routes(99, 1), routes(99, 0)))
    over = asked(client, seen["canary"])
    assert (over.text, cookie(over)) == ("stable", seen["stable"])


def test_attributes_befit_the_listener(web, servers) -> None:
    """Behind a trusted proxy that speaks TLS the cookie is for TLS only; nobody else is believed."""
    backends = servers("a")
    trusting = web(*backends, pool=COOKIE, listener='trusted_proxies = ["127.0.0.0/8"]').connect()
    for field in ("X-Forwarded-Proto: https", "Forwarded: for=192.0.2.1;proto=https;by=10.0.0.1"):
        assert (trusting.ask("/", field).one("Set-Cookie") or "").endswith("; Secure")
    assert "Secure" not in (trusting.ask().one("Set-Cookie") or "Secure")
    plain = web(*backends, pool=COOKIE).connect()
    assert "Secure" not in (plain.ask("/", "X-Forwarded-Proto: https").one("Set-Cookie") or "Secure")


def test_a_tunnel_is_bound_as_well(web, endpoint) -> None:
    """The answer that opens a WebSocket sets the cookie."""
    client = web(endpoint, pool=COOKIE).connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    endpoint.serve("HTTP/1.1 101 -\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    head = client.read_head()
    assert head.status == 101
    assert (head.one("Set-Cookie") or "").startswith("evenly=")
