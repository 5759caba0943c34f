"""Errors that Evenly makes itself: a small plain body, or the user's page, and `Retry-After` where waiting helps."""


def test_plain(web) -> None:
    """By itself an error is one line of text."""
    response = web(routes='[[routes]]\npath = "/only"\nrespond = {}\n').connect().ask("/other")
    assert (response.status, response.text) == (404, "404 Not Found\n")
    assert response.one("Content-Type").startswith("text/plain")


def test_page_of_the_user(web) -> None:
    """The user's page and type; HEAD gets no body."""
    serving = web(top='[error_pages]\n503 = { body = "<h1>back soon</h1>", content_type = "text/html" }\n')
    client = serving.connect()
    response = client.ask()
    assert (response.status, response.text) == (503, "<h1>back soon</h1>")
    assert response.one("Content-Type") == "text/html"
    assert int(response.one("Retry-After")) > 0
    head = client.ask(method="HEAD")
    assert (head.status, head.body) == (503, b"")


def test_page_from_a_file(run, port, tmp_path) -> None:
    """A file is read with the configuration, and read again with it."""
    from ..support.wire import Peer

    page = tmp_path / "404.html"
    page.write_text("first")
    bound = port()
    balancer = run(
        f'workers = 1\n[error_pages]\n404 = "{page}"\n[listeners.web]\nbind = "{bound}"\n'
        '[[routes]]\npath = "/x"\nrespond = {}\n'
    )
    with Peer.connect(bound.address) as client:
        assert client.ask().text == "first"
        page.write_text("second")
        balancer.reload()
        assert client.ask().text == "second"


def test_an_endpoint_s_own_errors_pass(web, endpoint) -> None:
    """Pages are for errors of Evenly; what an endpoint answers is the endpoint's."""
    client = web(endpoint, top='[error_pages]\n503 = { body = "ours" }\n').connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.serve("HTTP/1.1 503 -\r\nContent-Length: 6\r\n\r\ntheirs")
    assert client.read_response().text == "theirs"
