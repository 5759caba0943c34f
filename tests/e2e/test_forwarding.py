"""What an endpoint learns about the client is true, and what belongs to one connection stays on it."""

import re

import pytest

from ..support.endpoint import OK


def test_forwarding_fields(web, endpoint) -> None:
    """Client address, protocol and host, as this balancer saw them; a fresh id; and the host unchanged."""
    client = web(endpoint).connect()
    client.send("GET / HTTP/1.1\r\nHost: shop.example:8080\r\n\r\n")
    _, request = endpoint.serve()
    assert request.one("X-Forwarded-For") == "127.0.0.1"
    assert request.one("X-Forwarded-Proto") == "http"
    assert request.one("X-Forwarded-Host") == "shop.example:8080"
    assert request.one("Host") == "shop.example:8080"
    assert re.fullmatch(r"[0-9A-Za-z-]{16,64}", request.one("X-Request-Id") or "")


def test_ids_differ(web, endpoint) -> None:
    """Each request has an id of its own."""
    client = web(endpoint).connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
    peer = endpoint.accept()
    ids = set()
    for _ in range(3):
        ids.add(peer.read_request().one("X-Request-Id"))
        peer.send(OK)
        client.read_response()
    assert len(ids) == 3


FORGED = (
    "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: forged.example\r\n"
    "X-Request-Id: forged\r\nForwarded: for=203.0.113.9\r\nX-Real-IP: 203.0.113.9\r\nX-Forwarded-Prefix: /forged\r\n"
    "x-forwarded-anything: forged\r\nX_Real_IP: 203.0.113.9\r\nX_Forwarded_Port: forged\r\n"
)


def test_strangers_are_not_believed(web, endpoint) -> None:
    """What an untrusted client claims about itself is replaced."""
    client = web(endpoint).connect()
    client.send(f"GET / HTTP/1.1\r\nHost: a\r\n{FORGED}\r\n")
    _, request = endpoint.serve()
    assert b"203.0.113.9" not in request.raw
    assert b"forged" not in request.raw
    assert request.all("X-Forwarded-For") == ["127.0.0.1"]
    assert request.all("X-Forwarded-Proto") == ["http"]


def test_trusted_proxies_are_believed(web, endpoint) -> None:
    """What a trusted proxy says is kept and extended."""
    serving = web(endpoint, top='access_log = "-"', listener='trusted_proxies = ["127.0.0.0/8"]')
    client = serving.connect()
    client.send(
        "GET /trusted HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"
        "X-Forwarded-Host: real.example\r\nX-Request-Id: from-the-edge-0001\r\nX-Real-IP: 203.0.113.9\r\n"
        "X-Forwarded-Port: 443\r\n\r\n"
    )
    _, request = endpoint.serve()
    assert ", ".join(request.all("X-Forwarded-For")).replace(" ", "") == "203.0.113.9,127.0.0.1"
    assert request.one("X-Forwarded-Proto") == "https"
    assert request.one("X-Forwarded-Host") == "real.example"
    assert request.one("X-Request-Id") == "from-the-edge-0001"
    assert (request.one("X-Real-IP"), request.one("X-Forwarded-Port")) == ("203.0.113.9", "443")
    client.read_response()
    assert serving.balancer.access(target="/trusted")["request_id"] == "from-the-edge-0001"


def test_the_client_is_the_last_untrusted_address(web, endpoint) -> None:
    """Addresses left of an untrusted one were written by nobody we know."""
    serving = web(
        endpoint,
        listener='trusted_proxies = ["127.0.0.0/8", "10.0.0.0/8"]',
        routes='[[routes]]\npool = "app"\nrequest_headers = { set = { X-Client = "{client_ip}" } }\n',
    )
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.0.0.7\r\n\r\n")
    _, request = endpoint.serve()
    assert request.one("X-Client") == "203.0.113.9"


def test_forwarded(web, endpoint) -> None:
    """`Forwarded` (RFC 7239) is added where it is asked for."""
    client = web(endpoint, listener="forwarded = true").connect()
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    _, request = endpoint.serve()
    parts = dict(part.strip().replace('"', "").split("=", 1) for part in (request.one("Forwarded") or "").split(";"))
    assert parts["for"] == "127.0.0.1"
    assert parts["proto"] == "http"
    assert parts["host"] == "shop.example"


@pytest.mark.parametrize(
    "field", ["Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers", "X-Secret: 1", "Upgrade: h2c"]
)
def test_hop_by_hop_fields_stay_here(web, endpoint, field) -> None:
    """Fields of the connection, and those that Connection names, are not passed on (RFC 9110, section 7.6.1)."""
    client = web(endpoint, routes='[[routes]]\npool = "app"\nallow_upgrade = false\n').connect()
    name = field.split(":")[0]
    client.send(
        f"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Secret, {name}\r\n{field}\r\nX-Kept: 1\r\n\r\n"
    )
    _, request = endpoint.serve()
    assert request.all(name) == []
    assert request.one("X-Kept") == "1"
    assert "X-Secret" not in (request.one("Connection") or "")


def test_hop_by_hop_fields_of_responses(web, endpoint) -> None:
    """The same holds the other way."""
    client = web(endpoint).connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.serve(
        "HTTP/1.1 200 OK\r\nConnection: X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 1\r\n"
        "Proxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
    )
    response = client.read_response()
    assert response.all("X-Secret") == response.all("Keep-Alive") == []
    assert response.one("X-Kept") == "1"


def test_a_response_without_a_date_gets_one(web, endpoint) -> None:
    """Whoever passes a response on says when it came (RFC 9110, section 6.6.1); a date that is there stays."""
    client = web(endpoint).connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve(OK)
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", client.read_response().one("Date") or "")
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer.read_request()
    peer.send("HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n")
    assert client.read_response().all("Date") == ["Sun, 06 Nov 1994 08:49:37 GMT"]


def test_connection_cannot_name_away_what_matters(web, endpoint) -> None:
    """A client cannot make the balancer drop Host or the forwarding fields by naming them in Connection."""
    client = web(endpoint).connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-For, X-Request-Id\r\n\r\n")
    _, request = endpoint.serve()
    assert request.one("X-Forwarded-For") == "127.0.0.1"
    assert request.one("X-Request-Id")
    client.read_response()
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n")
    assert client.read_response().status == 400


def test_an_endpoint_that_closes_does_not_close_the_client(web, endpoint) -> None:
    """`Connection: close` of an endpoint is about the endpoint's connection alone."""
    client = web(endpoint).connect()
    for _ in range(2):
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        peer, _ = endpoint.serve("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        peer.close()
        assert client.read_response().one("Connection") != "close"


@pytest.mark.parametrize(
    ("method", "fields", "passed"),
    [
        ("OPTIONS", ["Max-Forwards: 3"], ["2"]),
        ("TRACE", ["max-forwards: 1"], ["0"]),
        ("OPTIONS", ["Max-Forwards: 7", "Max-Forwards: 5"], ["4"]),
        ("OPTIONS", ["Max-Forwards: many"], ["many"]),
        ("GET", ["Max-Forwards: 0"], ["0"]),
        ("OPTIONS", [], []),
    ],
)
def test_forwards_are_counted(web, endpoint, method, fields, passed) -> None:
    """TRACE and OPTIONS say how many more proxies they may pass (RFC 9110 §7.6.2); other methods mean nothing by it."""
    client = web(endpoint).connect()
    client.send("\r\n".join([f"{method} / HTTP/1.1", "Host: a", *fields]), "\r\n\r\n")
    _, request = endpoint.serve()
    assert request.all("Max-Forwards") == passed
    assert client.read_response().status == 200


def test_the_last_forward_is_answered_here(web, endpoint) -> None:
    """With none left the endpoint is not asked, and the connection goes on."""
    client = web(endpoint).connect()
    options = client.ask("/", "Max-Forwards: 0", method="OPTIONS")
    assert (options.status, options.one("Content-Length"), options.body) == (200, "0", b"")
    assert client.ask("/", "Max-Forwards: 0", method="TRACE").status == 501
    assert not endpoint.is_asked()
    client.send("OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.serve()
    assert client.read_response().status == 200


def test_what_cgi_would_take_for_a_forwarding_field_is_not_passed_on(web, endpoint) -> None:
    """CGI makes one variable of `X-Forwarded-For` and `X_Forwarded_For`: who sends the latter would speak for us."""
    client = web(endpoint, listener='trusted_proxies = ["127.0.0.1/32"]').connect()
    names = ("X_Forwarded_For", "x_forwarded-for", "X-Forwarded_Proto", "X_FORWARDED_HOST", "X_Request_Id")
    forged = "".join(f"{name}: forged\r\n" for name in names)
    client.send(f"GET / HTTP/1.1\r\nHost: a\r\n{forged}X_Tenant: kept\r\n\r\n")
    _, request = endpoint.serve()
    assert b"forged" not in request.raw
    assert request.one("X_Tenant") == "kept"


FORWARDING = [
    ("X-Forwarded-For", "10.0.0.1"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "inside.example"),
    ("X-Forwarded-Anything", "1"),
    ("X-Real-IP", "10.0.0.1"),
    ("Forwarded", "for=10.0.0.1"),
    ("X-Request-Id", "chosen"),
    ("Client-Cert", ":MTIz:"),
    ("X-Client-Cert-Verify", "success"),
]


@pytest.mark.parametrize("is_trusted", [False, True], ids=["stranger", "trusted"])
@pytest.mark.parametrize(("name", "value"), FORWARDING)
def test_routes_and_variables_believe_whom_endpoints_do(web, endpoint, name, value, is_trusted) -> None:
    """From strangers such a field is as if absent for conditions and variables; from trusted proxies it counts."""
    routes = (
        f'[[routes]]\npath = "/inside"\nheaders = {{ {name} = "{value}" }}\nrespond = {{ status = 299 }}\n'
        f'[[routes]]\npath = "/outside"\nheaders = {{ {name} = false }}\nrespond = {{ status = 298 }}\n'
        f'[[routes]]\npool = "app"\nrequest_headers = {{ set = {{ X-Copy = "<{{header:{name}}}>" }} }}\n'
    )
    listener = 'trusted_proxies = ["127.0.0.1"]' if is_trusted else ""
    client = web(endpoint, routes=routes, listener=listener).connect()
    for path, is_taken, status in [("/inside", is_trusted, 299), ("/outside", not is_trusted, 298), ("/", False, 0)]:
        client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n{name}: {value}\r\n\r\n")
        if is_taken:
            assert client.read_response().status == status
            continue
        _, request = endpoint.serve("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        assert client.read_response().status == 200
        assert request.one("X-Copy") == (f"<{value}>" if is_trusted else "<>")


def test_hashing_believes_whom_endpoints_do(web, servers) -> None:
    """A stranger's field chooses no endpoint: such requests are spread, as those without it are."""
    backends = servers("a", "b", "c")
    client = web(*backends, pool='balance = "maglev"\nhash_key = "header:X-Real-IP"').connect()
    assert {client.ask("/", "X-Real-IP: 10.0.0.1").text for _ in range(60)} == {"a", "b", "c"}
