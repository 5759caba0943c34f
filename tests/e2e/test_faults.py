"""A route injects faults on purpose: delays and errors, by share and by header, each counted."""

import time

ROUTES = """
[[routes]]
pool = "app"
fault = {{ {fault} }}
"""


def test_an_abort_in_place_of_the_answer(web, servers) -> None:
    """The endpoint never hears of it; the log says that it was on purpose, and the connection goes on."""
    (backend,) = servers("app")
    serving = web(backend, top='access_log = "-"', routes=ROUTES.format(fault="abort = 410"))
    client = serving.connect()
    for _ in range(3):
        answer = client.ask("/gone")
        assert (answer.status, answer.text) == (410, "410 Gone\n")
    entry = serving.balancer.access(target="/gone")
    assert (entry["status"], entry["reason"]) == (410, "fault-aborted")
    assert "fault_delay_ms" not in entry
    assert backend.served == 0
    assert serving.balancer.metric("evenly_faults_total", kind="abort") == 3
    assert serving.balancer.metric("evenly_terminations_total", reason="fault-aborted") == 3


def test_the_operators_page(web, servers) -> None:
    """A status that Evenly has a page for is answered with it."""
    (backend,) = servers("app")
    top = 'error_pages = { 503 = { body = "soon" } }'
    serving = web(backend, top=top, routes=ROUTES.format(fault="abort = 503"))
    answer = serving.connect().ask("/")
    assert (answer.status, answer.text, answer.one("Retry-After")) == (503, "soon", "1")


def test_a_share(web, servers) -> None:
    """About as many as the share says."""
    (backend,) = servers("app")
    serving = web(backend, routes=ROUTES.format(fault='abort = 500, abort_share = "30%"'))
    client = serving.connect()
    aborted = sum(client.ask("/").status == 500 for _ in range(1000))
    # Five standard deviations.
    assert 227 <= aborted <= 373
    assert backend.served == 1000 - aborted


def test_only_with_the_header(web, servers) -> None:
    """Others are left alone."""
    (backend,) = servers("app")
    serving = web(backend, routes=ROUTES.format(fault='abort = 500, headers = { X-Fault = "yes" }'))
    client = serving.connect()
    assert client.ask("/", "X-Fault: yes").status == 500
    assert client.ask("/", "X-Fault: no").status == 200
    assert client.ask("/").status == 200


def test_a_delay(web, servers) -> None:
    """The request waits, and is then answered as ever; a client that goes meanwhile is noticed."""
    (backend,) = servers("app")
    serving = web(backend, top='access_log = "-"', routes=ROUTES.format(fault='delay = "300ms"'))
    began = time.monotonic()
    assert serving.connect().ask("/late", method="POST", body=b"body").text == "app"
    assert 0.3 <= time.monotonic() - began < 2
    entry = serving.balancer.access(target="/late")
    assert "reason" not in entry
    assert 300 <= entry["fault_delay_ms"] <= entry["total_ms"]
    assert serving.balancer.metric("evenly_faults_total", kind="delay") == 1
    gone = serving.connect()
    gone.send("GET /gone HTTP/1.1\r\nHost: a\r\n\r\n")
    serving.balancer.until(lambda: serving.balancer.metric("evenly_faults_total", kind="delay") == 2)
    gone.reset()
    entry = serving.balancer.access(target="/gone")
    assert entry["reason"] == "client-gone"
    assert entry["fault_delay_ms"] <= entry["total_ms"]
    assert backend.requests["/gone"] == 0


def test_an_abort_before_a_body(web, servers) -> None:
    """A request whose body is still to come is aborted as well, and its connection ends."""
    (backend,) = servers("app")
    serving = web(backend, routes=ROUTES.format(fault="abort = 503"))
    client = serving.connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", "some of it")
    answer = client.read_response()
    assert (answer.status, answer.one("Connection")) == (503, "close")
    client.expect_end()
