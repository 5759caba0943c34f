"""A body that arrives while the connection to the endpoint is still being made is passed on whole."""

import socket

from ..support.endpoint import Endpoint


def test_a_body_that_comes_before_the_connection(web) -> None:
    """The endpoint's queue is full, so that connecting takes until the kernel tries again; the client does not wait."""
    with Endpoint(backlog=0) as endpoint, socket.create_connection((endpoint.ip, endpoint.port)):
        client = web(endpoint).connect()
        client.send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n", "x" * 20_000)
        client.send("y" * 40_000)
        endpoint.accept().close()
        assert endpoint.accept().read_request().body == b"x" * 20_000 + b"y" * 40_000
