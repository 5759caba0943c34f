"""Routes: the first match in file order wins, by host, path, method, header, cookie and query; then its action."""

import re

import pytest

from ..support.balancer import Balancer, Web, run_verb
from ..support.ports import Port

# Each route answers with its own name, so that the answer says which one won.
ROUTES = """
[[routes]]
name = "exact-host"
host = "shop.example"
respond = { body = "exact-host" }

[[routes]]
name = "wildcard-host"
host = "*.shop.example"
respond = { body = "wildcard-host" }

[[routes]]
name = "exact-path"
path = "/about"
respond = { body = "exact-path" }

[[routes]]
name = "beta"
path = "/api/*"
headers = { X-Stage = "beta" }
respond = { body = "beta" }

[[routes]]
name = "gold"
path = "/api/*"
cookies = { plan = "gold" }
respond = { body = "gold" }

[[routes]]
name = "query"
path = "/api/*"
query = { version = { regex = "[23]" } }
respond = { body = "query" }

[[routes]]
name = "post"
path = "/api/*"
methods = ["POST"]
respond = { body = "post" }

[[routes]]
name = "prefix"
path = "/api/*"
respond = { body = "prefix" }

[[routes]]
name = "regex"
path_regex = "/item/[0-9]+"
respond = { body = "regex" }

[[routes]]
name = "absent"
path = "/absent"
headers = { X-Debug = false }
respond = { body = "absent" }

[[routes]]
name = "moved"
path = "/old/*"
redirect = { to = "https://{host}{uri}", status = 308 }

[[routes]]
name = "teapot"
path = "/teapot"
respond = { status = 418, body = "<p>short</p>", content_type = "text/html" }

[[routes]]
name = "empty"
path = "/empty"
respond = { status = 204 }
"""


@pytest.fixture(scope="module")
def serving():
    """One balancer for all of them."""
    port = Port()
    with Balancer(f'workers = 1\n[listeners.web]\nbind = "{port}"\n{ROUTES}').until_ready() as balancer:
        yield Web(balancer, port)
    port.release()


@pytest.mark.parametrize(
    ("host", "path", "fields", "route"),
    [
        ("shop.example", "/", [], "exact-host"),
        ("SHOP.example:8080", "/", [], "exact-host"),
        ("eu.shop.example", "/", [], "wildcard-host"),
        ("a.eu.shop.example", "/", [], "wildcard-host"),
        ("other.example", "/about", [], "exact-path"),
        ("other.example", "/about?x=1", [], "exact-path"),
        ("other.example", "/api/", ["X-Stage: beta"], "beta"),
        ("other.example", "/api/", ["x-stage: beta"], "beta"),
        ("other.example", "/api/", ["X-Stage: betamax"], "prefix"),
        ("other.example", "/api/", ["Cookie: a=1; plan=gold"], "gold"),
        ("other.example", "/api/", ["Cookie: plan=golden"], "prefix"),
        ("other.example", "/api/x?a=1&version=3", [], "query"),
        ("other.example", "/api/x?version=4", [], "prefix"),
        ("other.example", "/api/users", [], "prefix"),
        ("other.example", "/item/42", [], "regex"),
        ("other.example", "/absent", [], "absent"),
    ],
)
def test_first_match_wins(serving, host, path, fields, route) -> None:
    """The route that the file's order says."""
    response = serving.connect().ask(path, *fields, host=host)
    assert (response.status, response.text) == (200, route)


def test_method(serving) -> None:
    """Methods take part."""
    assert serving.connect().ask("/api/", method="POST").text == "post"


@pytest.mark.parametrize(
    ("path", "fields"),
    [("/", []), ("/about/", []), ("/api", []), ("/item/4x", []), ("/x/item/4", []), ("/absent", ["X-Debug: 1"])],
)
def test_no_match(serving, path, fields) -> None:
    """What no route matches is 404, and the connection goes on."""
    client = serving.connect()
    assert client.ask(path, *fields).status == 404
    assert client.ask("/about").status == 200


def test_redirect(serving) -> None:
    """The location is a template; the query is part of it."""
    response = serving.connect().ask("/old/page?x=1", host="shop2.example")
    assert response.status == 308
    assert response.one("Location") == "https://shop2.example/old/page?x=1"


def test_respond(serving) -> None:
    """Status, type and body are the user's; HEAD gets the same without the body."""
    client = serving.connect()
    response = client.ask("/teapot")
    assert (response.status, response.text, response.one("Content-Type")) == (418, "<p>short</p>", "text/html")
    head = client.ask("/teapot", method="HEAD")
    assert (head.status, head.body, head.one("Content-Length")) == (418, b"", "12")
    assert client.ask("/empty").status == 204


def test_body_behind_an_answer_of_evenly(serving) -> None:
    """A request body that nobody reads does not become the next request."""
    client = serving.connect()
    client.send("POST /teapot HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nGET /about HTTP/1.1\r\n")
    assert client.read_response().status == 418
    rest = client
    rest.send("GET /about HTTP/1.1\r\nHost: a\r\n\r\n")
    try:
        assert rest.read_response().text == "exact-path"
    except AssertionError:
        # Closing instead of reading on is as good.
        rest.drain()


def test_split(web, servers, run, port) -> None:
    """A split shares by weight."""
    stable, canary = servers("stable", "canary")
    bound = port()
    run(
        f'workers = 1\n[listeners.web]\nbind = "{bound}"\n[pools.stable]\nendpoints = ["{stable}"]\n'
        f'[pools.canary]\nendpoints = ["{canary}"]\n[[routes]]\nsplit = {{ stable = 80, canary = 20 }}\n'
    )
    from ..support.wire import Peer

    with Peer.connect(bound.address) as client:
        answers = [client.ask().text for _ in range(1000)]
    share = answers.count("canary") / len(answers)
    # Five standard deviations of a fair draw.
    assert abs(share - 0.2) < 0.07


def test_routes_of_one_listener(run, port) -> None:
    """A route may belong to some listeners only."""
    from ..support.wire import Peer

    one, two = port(), port()
    run(
        f'workers = 1\n[listeners.one]\nbind = "{one}"\n[listeners.two]\nbind = "{two}"\n'
        '[[routes]]\nlisteners = "one"\nrespond = { body = "one" }\n'
        '[[routes]]\nrespond = { body = "{not a variable}" }\n'
    )
    with Peer.connect(one.address) as client:
        assert client.ask().text == "one"
    with Peer.connect(two.address) as client:
        assert client.ask().text == "{not a variable}"


def test_what_is_wrong_with_routes_is_told_at_once(tmp_path) -> None:
    """Each at its own line, also what only the packet path knows of."""
    file = tmp_path / "evenly.toml"
    file.write_text("""[listeners.web]
bind = ":8080"
[pools.app]
endpoints = ["10.0.0.1:9000"]
[[routes]]
path = "/../g"
pool = "app"
[[routes]]
path = "/good"
pool = "app"
[[routes]]
path_regex = "("
pool = "app"
[[routes]]
redirect = "https://{urii}"
""")
    told = run_verb("check", str(file), expect=2).stderr
    assert re.findall(r"evenly\.toml:(\d+): (routes\[\d\]\.\w+)", "".join(told.split("\n"))) == [
        ("6", "routes[0].path"),
        ("12", "routes[2].path_regex"),
        ("15", "routes[3].redirect"),
    ]


def test_paths_that_endpoints_may_read_otherwise(web, servers) -> None:
    """Slashes that are escaped or doubled are compared as written; the guide's route refuses them all."""
    healthz = '[[routes]]\npath = "/healthz"\nrespond = { status = 403 }\n[[routes]]\npool = "app"\n'
    refusal = '[[routes]]\npath_regex = ".*(//|%2F|%5C).*"\nrespond = { status = 400 }\n'
    (backend,) = servers("a")
    without, beside = (web(backend, routes=routes).connect() for routes in (healthz, refusal + healthz))
    for path in ("//healthz", "/%2fhealthz", "/x%2F../healthz", "/healthz//", "/x/..%5chealthz"):
        assert (without.ask(path).status, beside.ask(path).status) == (200, 400), path
    for path in ("/healthz", "/./healthz", "/x/../%68ealthz", "/x/%2e%2E/healthz"):
        assert (without.ask(path).status, beside.ask(path).status) == (403, 403), path
    assert beside.ask("/x/%252F/y?a=//&b=%2F").status == 200
