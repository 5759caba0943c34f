"""What a route changes on the way: path, host, and header fields in both directions, with variables."""

import socket

import pytest

from ..support.endpoint import OK
from ..support.http2 import Http2Client
from ..support.wire import DEADLINE


def forwarded(web, endpoint, route: str, request: str = "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n", answer=OK):
    """One exchange through one route: the request that the endpoint got and the response that the client got."""
    client = web(endpoint, routes=f'[[routes]]\nname = "only"\npool = "app"\n{route}\n').connect()
    client.send(request)
    _, received = endpoint.serve(answer)
    return received, client.read_response()


@pytest.mark.parametrize(
    ("route", "path", "rewritten"),
    [
        ('path = "/shop/*"\nrewrite = { prefix = "/" }', "/shop/cart?id=1", "/cart?id=1"),
        ('path = "/shop/*"\nrewrite = { prefix = "/v2/" }', "/shop/", "/v2/"),
        ('path = "/shop"\nrewrite = { prefix = "/v2" }', "/shop?x", "/v2?x"),
        ('rewrite = { regex = "^/users/([0-9]+)/", replacement = "/u/$1/" }', "/users/7/a?b", "/u/7/a?b"),
        ('rewrite = { regex = "^/users/", replacement = "/u/" }', "/others/7", "/others/7"),
    ],
)
def test_path(web, endpoint, route, path, rewritten) -> None:
    """Prefix and regular expression; the query stays."""
    received, _ = forwarded(web, endpoint, route, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
    assert received.target == rewritten


def test_host_of_the_endpoint(web, endpoint) -> None:
    """The endpoint's own address as Host; what the client asked for is still known."""
    received, _ = forwarded(web, endpoint, 'host_rewrite = "endpoint"')
    assert received.one("Host") == str(endpoint)
    assert received.one("X-Forwarded-Host") == "shop.example"


def test_host_of_the_user(web, endpoint) -> None:
    """A host of the user's."""
    received, _ = forwarded(web, endpoint, 'host_rewrite = { to = "app.internal" }')
    assert received.one("Host") == "app.internal"


def test_request_fields(web, endpoint) -> None:
    """Remove, set and add, in this order, with variables."""
    received, _ = forwarded(
        web,
        endpoint,
        'request_headers = { remove = ["X-Debug"], set = { X-A = "{client_ip} {host} {path} {listener} {method}", '
        'X-Braces = "{{literal}}" }, add = { X-Many = ["{header:X-Given}", "2"] } }',
        "GET /p?q HTTP/1.1\r\nHost: shop.example\r\nX-Debug: 1\r\nX-A: old\r\nX-A: older\r\nX-Given: 1\r\n\r\n",
    )
    assert received.all("X-Debug") == []
    assert received.one("X-A") == "127.0.0.1 shop.example /p web GET"
    assert received.one("X-Braces") == "{literal}"
    assert received.all("X-Many") == ["1", "2"]


def test_response_fields(web, endpoint) -> None:
    """The same on the way back; the request's id in a response helps support."""
    received, response = forwarded(
        web,
        endpoint,
        'response_headers = { remove = ["Server"], set = { X-Id = "{request_id}" }, add = { Vary = "Cookie" } }',
        answer="HTTP/1.1 200 OK\r\nServer: secret/1.0\r\nVary: Accept\r\nX-Id: forged\r\nContent-Length: 0\r\n\r\n",
    )
    assert response.all("Server") == []
    assert response.one("X-Id") == received.one("X-Request-Id")
    assert response.all("Vary") == ["Accept", "Cookie"]


def test_a_variable_cannot_break_the_head(web, endpoint) -> None:
    """What a client sends cannot add a line through a variable."""
    received, _ = forwarded(
        web,
        endpoint,
        'request_headers = { set = { X-Copy = "{header:X-Given}|{query}" } }',
        "GET /?a%0d%0aX-Evil:%201 HTTP/1.1\r\nHost: a\r\nX-Given: tab\there\r\n\r\n",
    )
    assert received.all("X-Evil") == []
    assert received.one("X-Copy") == "tab\there|a%0d%0aX-Evil:%201"


LEAVING = [
    ('path = "/files*"\nrewrite = { prefix = "/public/" }', "/files../private/a.txt"),
    ('path = "/files*"\nrewrite = { prefix = "/public/" }', "/files%2e%2E/private/a.txt"),
    ('path = "/files*"\nrewrite = { prefix = "/public/" }', "/files.."),
    ('path = "/files*"\nrewrite = { prefix = "/public/" }', "/files./a.txt"),
    ('rewrite = { regex = "^/files(.*)", replacement = "/public/$1" }', "/files../private/a.txt"),
]


@pytest.mark.parametrize(("route", "path"), LEAVING)
def test_no_rewrite_leads_out_of_its_prefix(web, endpoint, route, path) -> None:
    """A dot segment that a rewrite has made is answered 400, never resolved; the connection goes on."""
    routes = f'[[routes]]\npool = "app"\n{route}\n'
    serving = web(endpoint, routes=routes, top='access_log = "-"')
    client = serving.connect()
    assert client.ask(path).status == 400
    assert serving.balancer.access(status=400)["reason"] == "request-bad"
    assert not endpoint.is_asked()
    client.send("GET /files...x/a.txt HTTP/1.1\r\nHost: a\r\n\r\n")
    _, request = endpoint.serve()
    assert request.target == "/public/...x/a.txt"
    assert client.read_response().status == 200


def test_no_rewrite_leads_out_of_its_prefix_by_http2(web, endpoint) -> None:
    """The same for requests that come by HTTP/2."""
    route, path = LEAVING[0]
    serving = web(endpoint, routes=f'[[routes]]\npool = "app"\n{route}\n')
    with socket.create_connection(serving.port.address, DEADLINE) as connected:
        client = Http2Client(connected)
        assert client.wait(client.begin(path)).status == 400
    assert not endpoint.is_asked()


def test_no_rewrite_leads_out_of_its_prefix_by_http3(h3, endpoint) -> None:
    """And by HTTP/3."""
    route, path = LEAVING[0]
    client, _ = h3(endpoint, routes=f'[[routes]]\npool = "app"\n{route}\n')
    assert client.get(path).status == 400
    assert not endpoint.is_asked()
