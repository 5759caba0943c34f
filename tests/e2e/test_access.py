"""Who may come in: addresses, passwords and keys; everyone else is told so, counted, and troubles no endpoint."""

import base64
import hashlib
import os
import subprocess

import pytest

from ..support.balancer import run_verb
from ..support.wire import Peer

# "U*U" and "password", by bcrypt's and argon2's own test vectors.
BCRYPT = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
ARGON2 = "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"
TRUSTED = 'trusted_proxies = ["127.0.0.1"]'


def basic(user: str, password: str) -> str:
    return f"Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def guarded(option: str) -> str:
    return f'[[routes]]\npool = "app"\n{option}\n'


def test_the_most_specific_network_decides(web, servers) -> None:
    """By the address that a trusted proxy states; the reason is in the log and the metrics."""
    routes = guarded('access = { allow = ["192.0.2.0/24", "2001:db8::/32"], deny = ["192.0.2.128/25"] }')
    serving = web(*servers("a"), top='access_log = "-"', listener=TRUSTED, routes=routes)
    client = serving.connect()
    for address, status in [
        ("192.0.2.1", 200),
        ("192.0.2.129", 403),
        ("198.51.100.1", 403),
        ("2001:db8::1", 200),
        ("10.0.0.1, 192.0.2.1", 200),
        ("192.0.2.1, 198.51.100.1", 403),
    ]:
        assert client.ask("/", f"X-Forwarded-For: {address}").status == status, address
    assert serving.balancer.access(status=403, client="192.0.2.129")["reason"] == "address-denied"
    assert serving.balancer.metric("evenly_terminations_total", reason="address-denied") == 3


def test_an_untrusted_client_cannot_choose_its_address(web, servers) -> None:
    """What a stranger forwards does not count."""
    client = web(*servers("a"), routes=guarded('access = { allow = ["192.0.2.1"] }')).connect()
    assert client.ask("/", "X-Forwarded-For: 192.0.2.1").status == 403


def test_ten_thousand_networks_from_a_file_that_changes(run, port, servers, tmp_path) -> None:
    """A file of networks is read with the configuration and again with it."""
    blocked, bound = tmp_path / "blocked.txt", port()
    networks = [f"10.{high}.{low}.0/24 # {high}" for high in range(40) for low in range(250)]
    blocked.write_text("\n".join(networks))
    balancer = run(
        f'workers = 1\n[listeners.web]\nbind = "{bound}"\n{TRUSTED}\n'
        f'[pools.app]\nendpoints = ["{servers("a")[0]}"]\n'
        f'[[routes]]\npool = "app"\naccess = {{ deny_file = "{blocked}" }}\n'
    )
    with Peer.connect(bound.address) as client:
        assert client.ask("/", "X-Forwarded-For: 10.39.249.7").status == 403
        assert client.ask("/", "X-Forwarded-For: 10.40.0.7").status == 200
        blocked.write_text("10.40.0.0/24\n")
        balancer.reload()
        assert client.ask("/", "X-Forwarded-For: 10.39.249.7").status == 200
        assert client.ask("/", "X-Forwarded-For: 10.40.0.7").status == 403


@pytest.mark.parametrize(("stored", "password"), [(BCRYPT, "U*U"), (ARGON2, "password")], ids=["bcrypt", "argon2id"])
def test_a_password(web, endpoint, stored, password) -> None:
    """The right one passes and the endpoint is told whose it is; the challenge names the realm."""
    routes = guarded(f'basic_auth = {{ realm = "Staff", users = {{ ada = "{stored}" }}, user_header = "X-User" }}')
    serving = web(endpoint, top='access_log = "-"', routes=routes)
    client = serving.connect()
    refused = client.ask()
    assert (refused.status, refused.one("WWW-Authenticate")) == (401, 'Basic realm="Staff", charset="UTF-8"')
    assert client.ask("/", basic("ada", "wrong")).status == 401
    assert client.ask("/", basic("eve", password)).status == 401
    assert not endpoint.is_asked()
    client.send(f"GET /mine HTTP/1.1\r\nHost: a\r\nX-User: root\r\nx_user: root\r\n{basic('ada', password)}\r\n\r\n")
    _, request = endpoint.serve()
    assert client.read_response().status == 200
    assert (request.all("X-User"), request.all("x_user")) == (["ada"], [])
    assert request.one("Authorization") is not None
    assert serving.balancer.access(status=200)["user"] == "ada"
    reasons = {
        reason: serving.balancer.metric("evenly_terminations_total", reason=reason)
        for reason in ("auth-missing", "auth-wrong")
    }
    assert reasons == {"auth-missing": 1, "auth-wrong": 2}


def test_a_verdict_is_remembered(web, servers) -> None:
    """A hundred requests with one password verify it once; another guess is verified by itself."""
    routes = guarded(f'basic_auth = {{ users = {{ ada = "{ARGON2}" }} }}')
    serving = web(*servers("a"), routes=routes)
    client = serving.connect()
    for _ in range(100):
        assert client.ask("/", basic("ada", "password")).status == 200
    for _ in range(5):
        assert client.ask("/", basic("ada", "guess")).status == 401
    counts = {
        result: serving.balancer.metric("evenly_passwords_total", result=result)
        for result in ("right", "wrong", "known")
    }
    assert counts == {"right": 1, "wrong": 1, "known": 103}


def test_many_at_once_with_one_password_wait_for_one_verdict(web, servers) -> None:
    """A page with its parts on many connections: none is refused, and little is verified."""
    routes = guarded(f'basic_auth = {{ users = {{ ada = "{ARGON2}" }} }}')
    serving = web(*servers("a"), routes=routes)
    clients = [serving.connect() for _ in range(60)]
    for client in clients:
        client.send(f"GET / HTTP/1.1\r\nHost: a\r\n{basic('ada', 'password')}\r\n\r\n")
    assert {client.read_response().status for client in clients} == {200}


def test_a_flood_of_guesses_is_bounded_and_does_not_hold_up_others(web, servers) -> None:
    """Beyond what a helper takes on, 503 says so at once; routes without passwords are served meanwhile."""
    slow = run_verb_hash("secret")
    routes = f'[[routes]]\npath = "/free"\npool = "app"\n{guarded(f"basic_auth = {{ users = {{ ada = {slow!r} }} }}")}'
    serving = web(*servers("a"), top='access_log = "-"', routes=routes)
    clients = [serving.connect() for _ in range(80)]
    for number, client in enumerate(clients):
        client.send(f"GET / HTTP/1.1\r\nHost: a\r\n{basic('ada', f'guess {number}')}\r\n\r\n")
    assert serving.connect().ask("/free").status == 200
    statuses = [client.read_response().status for client in clients]
    assert set(statuses) == {401, 503}
    assert statuses.count(401) >= 16
    entry = serving.balancer.access(status=503)
    assert entry["reason"] == "auth-busy"


def run_verb_hash(password: str) -> str:
    """What `evenly hash-password` prints for a password on standard input."""
    from ..support.balancer import console_script

    done = subprocess.run(
        [console_script(), "hash-password"], input=password + "\n", capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_password_that_is_not_utf_8_is_refused(locale) -> None:
    """It is said in a line, as everything else that is mistaken."""
    from ..support.balancer import START, console_script

    command = [console_script(), "hash-password"]
    environment = os.environ | {"LC_ALL": locale}
    done = subprocess.run(command, input=b"caf\xe9\n", capture_output=True, env=environment, timeout=START)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().strip().endswith("expected a password in UTF-8")


def test_hash_password_and_a_users_file(run, port, servers, tmp_path) -> None:
    """What the verb prints is what the file takes; a changed password counts at the reload, remembered or not."""
    users, bound = tmp_path / "users.htpasswd", port()
    users.write_text(f"# staff\nada:{run_verb_hash('first')}\n")
    text = (
        f'workers = 1\n[listeners.web]\nbind = "{bound}"\n[pools.app]\nendpoints = ["{servers("a")[0]}"]\n'
        f'[[routes]]\npool = "app"\nbasic_auth = {{ users_file = "{users}", strip = true }}\n'
    )
    balancer = run(text)
    with Peer.connect(bound.address) as client:
        assert client.ask("/", basic("ada", "first")).status == 200
        users.write_text(f"ada:{run_verb_hash('second')}\n")
        balancer.reload()
        assert client.ask("/", basic("ada", "first")).status == 401
        assert client.ask("/", basic("ada", "second")).status == 200
        users.write_text("ada:secret\n")
        refused = balancer.admin.post("/api/reload")
        assert not refused.is_success
        assert f"{users}:1" in refused.text or '"line":1' in refused.text.replace(" ", "")
        assert client.ask("/", basic("ada", "second")).status == 200
    assert run_verb("check", str(balancer.file), expect=2).stderr.count(f"{users}:1: expected a bcrypt") == 1


def test_a_key_in_a_header(web, endpoint) -> None:
    """A key stands for a name; it need not reach the endpoint; none is 401, a wrong one 403."""
    hashed = hashlib.sha256(b"a-long-random-key").hexdigest()
    option = (
        f'api_keys = {{ header = "X-Api-Key", keys = {{ ci = "{hashed}" }}, user_header = "X-Client", strip = true }}'
    )
    serving = web(endpoint, top='access_log = "-"', routes=guarded(option))
    client = serving.connect()
    none = client.ask()
    assert (none.status, none.one("WWW-Authenticate")) == (401, "ApiKey")
    assert client.ask("/", "X-Api-Key: a-long-random-kez").status == 403
    assert client.ask("/", "X-Api-Key: a-long-random-key", "X-Api-Key: a-long-random-key").status == 403
    client.send("GET / HTTP/1.1\r\nHost: a\r\nx-api-key: a-long-random-key\r\nX-Client: root\r\n\r\n")
    _, request = endpoint.serve()
    assert client.read_response().status == 200
    assert (request.all("X-Client"), request.all("X-Api-Key")) == (["ci"], [])
    assert serving.balancer.access(status=200)["user"] == "ci"
    assert serving.balancer.access(status=403)["reason"] == "key-unknown"


def test_a_key_in_the_query_is_in_no_log(web, endpoint) -> None:
    """It leaves the target on the way to the endpoint, and the log shows that there was one."""
    hashed = hashlib.sha256(b"a-long-random-key").hexdigest()
    option = f'api_keys = {{ query = "key", keys = {{ ci = "{hashed}" }}, strip = true }}'
    serving = web(endpoint, top='access_log = "-"', routes=guarded(option))
    client = serving.connect()
    client.send("GET /p?a=1&key=a-long-random-key&b HTTP/1.1\r\nHost: a\r\n\r\n")
    _, request = endpoint.serve()
    assert client.read_response().status == 200
    assert request.target == "/p?a=1&b"
    assert serving.balancer.access(status=200)["target"] == "/p?a=1&key=***&b"
    assert not any("a-long-random-key" in line for line in serving.balancer.output.all)


def test_either_will_do_and_guarded_answers_of_evenly_s_own(web) -> None:
    """A guard comes before the action, whatever that is."""
    hashed = hashlib.sha256(b"key").hexdigest()
    routes = (
        '[[routes]]\nrespond = { body = "secret" }\n'
        f'basic_auth = {{ users = {{ ada = "{BCRYPT}" }} }}\n'
        f'api_keys = {{ header = "X-Key", keys = {{ ci = "{hashed}" }} }}\n'
    )
    client = web(routes=routes).connect()
    assert client.ask().status == 401
    assert client.ask("/", "X-Key: key").text == "secret"
    assert client.ask("/", basic("ada", "U*U")).text == "secret"
    assert client.ask("/", "X-Key: wrong", basic("ada", "U*U")).status == 403


def test_a_body_behind_a_refusal_is_no_request(web, endpoint) -> None:
    """Smuggling: the body of a request that waits for its password, or is refused, is never read as the next."""
    serving = web(endpoint, routes=guarded(f'basic_auth = {{ users = {{ ada = "{ARGON2}" }} }}'))
    inner = "GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"
    head = f"POST /outer HTTP/1.1\r\nHost: a\r\nContent-Length: {len(inner)}\r\n"
    client = serving.connect()
    client.send(f"{head}\r\n{inner}")
    assert client.read_response().status == 401
    client.send(f"{head}{basic('ada', 'password')}\r\n\r\n{inner}GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, request = endpoint.serve()
    assert (request.target, request.text) == ("/outer", inner)
    assert client.read_response().status == 200
    assert client.read_response().status == 401
    peer.close()


@pytest.mark.parametrize(
    ("guard", "name"),
    [
        (f'basic_auth = {{ users = {{ ada = "{ARGON2}" }} }}', "X-Authenticated-User"),
        (f'api_keys = {{ header = "X-Api-Key", keys = {{ ci = "{"0" * 64}" }}, user_header = "X-Key" }}', "X-Key"),
        ('forward_auth = { pool = "app", path = "/v", response_headers = ["X-Role", "Authorization"] }', "X-Role"),
    ],
    ids=["basic_auth", "api_keys", "forward_auth"],
)
def test_nobody_says_who_they_are_on_routes_without_a_guard(web, endpoint, guard, name) -> None:
    """Endpoints believe the field on every path: from clients it counts on none, however it is spelt."""
    routes = (
        f'[[routes]]\npath = "/staff/*"\npool = "app"\n{guard}\n'
        f"[[routes]]\nheaders = {{ {name} = true }}\nrespond = {{ status = 410 }}\n"
        f'[[routes]]\npool = "app"\nrequest_headers = {{ set = {{ X-Copy = "<{{header:{name}}}>" }} }}\n'
    )
    client = web(endpoint, routes=routes, listener=TRUSTED).connect()
    client.send(
        f"POST / HTTP/1.1\r\nHost: a\r\n{name}: root\r\n{name.replace('-', '_')}: root\r\nX-Other: 1\r\n"
        "Authorization: Bearer mine\r\nX-Api-Key: mine\r\nTransfer-Encoding: chunked\r\n"
        f"Trailer: X-Sum, {name}\r\n\r\n0\r\n{name}: root\r\nX-Sum: 1\r\n\r\n"
    )
    peer = endpoint.accept()
    request = peer.read_head()
    ending = b"0\r\nX-Sum: 1\r\n\r\n"
    assert peer.read_exactly(len(ending)) == ending
    peer.send("HTTP/1.1 204 No Content\r\n\r\n")
    assert client.read_response().status == 204
    assert request.one("Trailer") == "X-Sum"
    assert b"root" not in request.raw
    assert request.one("X-Copy") == "<>"
    assert [request.one(each) for each in ("X-Other", "Authorization", "X-Api-Key")] == ["1", "Bearer mine", "mine"]


def test_without_guards_such_fields_are_like_any_other(web, endpoint) -> None:
    """Behind another balancer that knows who they are, Evenly passes on what that says."""
    client = web(endpoint).connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Authenticated-User: ada\r\n\r\n")
    _, request = endpoint.serve()
    assert request.one("X-Authenticated-User") == "ada"
