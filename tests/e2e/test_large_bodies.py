"""Bodies of any size stream through in constant memory, both ways, however slow the reader."""

import threading

from ..support.endpoint import OK
from ..support.server import pattern

SIZE = 96 * 1024 * 1024
# Buffers in user space; the kernel's socket buffers do not count here. Far below the body, far above what is needed.
ROOM = 12 * 1024 * 1024


def at_rest(serving) -> int:
    """The memory of a balancer that is up: its control plane loads parts of itself when traffic flows already, and has
    done so when it answers."""
    serving.balancer.status()
    return serving.balancer.memory()


def test_download(web, servers) -> None:
    """Each byte arrives in its place, and memory stays where it was."""
    serving = web(servers("a")[0])
    client = serving.connect()
    client.ask("/bytes/1000000")
    before = at_rest(serving)
    client.send(f"GET /bytes/{SIZE} HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.read_head().one("Content-Length") == str(SIZE)
    highest, received = before, 0
    while received < SIZE:
        piece = client.receive()
        assert piece == pattern(received, len(piece))
        received += len(piece)
        highest = max(highest, serving.balancer.memory())
    assert highest - before < ROOM


def test_upload(web, servers) -> None:
    """The same upwards, and back again."""
    serving = web(servers("a")[0])
    client = serving.connect()
    client.ask("/bytes/1000000")
    before = at_rest(serving)
    client.send(f"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n")

    def push() -> None:
        for offset in range(0, SIZE, 1 << 20):
            client.send(pattern(offset, 1 << 20))

    pushing = threading.Thread(target=push)
    pushing.start()
    assert client.read_head().status == 200
    highest, received = before, 0
    while received < SIZE:
        piece = client.receive()
        assert piece == pattern(received, len(piece))
        received += len(piece)
        highest = max(highest, serving.balancer.memory())
    pushing.join()
    assert highest - before < ROOM


def test_a_slow_reader_holds_up_only_itself(web, servers) -> None:
    """A client that reads nothing stops its own download, not the memory and not others."""
    serving = web(servers("a")[0])
    before = at_rest(serving)
    slow = serving.connect(receive_buffer=4096)
    slow.send(f"GET /bytes/{SIZE} HTTP/1.1\r\nHost: a\r\n\r\n")
    slow.read_head()
    quick = serving.connect()
    for _ in range(200):
        assert quick.ask("/bytes/100000").status == 200
    assert serving.balancer.memory() - before < ROOM


def test_a_slow_endpoint_holds_up_its_client(web, endpoint) -> None:
    """Back-pressure reaches the sender: what the endpoint does not take is not taken from the client."""
    import socket

    endpoint.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    serving = web(endpoint)
    client = serving.connect()
    client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n")
    peer = endpoint.accept()
    peer.read_head()
    client.socket.settimeout(0.5)
    sent = 0
    try:
        while sent < SIZE:
            sent += client.socket.send(b"x" * 100_000)
    except TimeoutError:
        pass
    assert sent < SIZE // 2
    assert serving.balancer.memory() < 300 * 1024 * 1024
    peer.send(OK)


def test_connections_are_reused_after_large_bodies(web, servers) -> None:
    """What moved inside the kernel leaves the endpoint's connection as fit for the next request as any other."""
    backend = servers("a")[0]
    client = web(backend).connect()
    for _ in range(10):
        assert len(client.ask("/bytes/1000000").body) == 1_000_000
    assert backend.connections == 1


def test_upload_goes_on_while_a_response_begins(web, endpoint) -> None:
    """An endpoint that sends the beginning of a head and reads the body before it sends the rest gets that body."""
    size = 5_000_000
    client = web(endpoint, pool='timeouts = { response = "2s" }').connect()
    client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
    peer = endpoint.accept()
    peer.read_head()
    peer.send(OK[:20])
    pushing = threading.Thread(target=client.send, args=(b"x" * size,), daemon=True)
    pushing.start()
    assert peer.read_exactly(size) == b"x" * size
    peer.send(OK[20:])
    assert client.read_response().status == 200
    pushing.join()


def test_many_small_chunks(web, endpoint) -> None:
    """A hundred thousand chunks of one byte cost time, not memory."""
    serving = web(endpoint)
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer = endpoint.accept()
    peer.read_request()
    before = at_rest(serving)

    def push() -> None:
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            peer.send(b"1\r\nx\r\n" * 1000)
        peer.send("0\r\n\r\n")

    pushing = threading.Thread(target=push)
    pushing.start()
    assert client.read_response().body == b"x" * 100_000
    pushing.join()
    assert serving.balancer.memory() - before < ROOM
