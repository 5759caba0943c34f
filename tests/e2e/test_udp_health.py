"""Health checks by UDP: a datagram that is answered, and a question to a name server."""

import contextlib

import pytest

from ..support.datagram import Echo, free_port

CHECK = 'interval = "100ms", timeout = "500ms", unhealthy_after = 1, healthy_after = 1'


@pytest.fixture
def checked(run):
    """A balancer whose pool has one endpoint and this check."""

    def start(endpoint: object, check: str, pool: str = ""):
        return run(
            f'[listeners.dns]\nbind = "127.0.0.1:{free_port()}"\nprotocol = "udp"\npool = "app"\n'
            f'[pools.app]\nendpoints = "{endpoint}"\nhealth_check = {{ {check}, {CHECK} }}\n{pool}\n'
        )

    return start


def state_is(balancer, endpoint: object, state: str, reason: str = "") -> bool:
    """Whether an endpoint is said to be in this state, for this reason."""
    found = balancer.endpoint(endpoint)
    return (found["state"], found["reason"]) == (state, reason)


def test_an_answer_passes_and_silence_fails(checked) -> None:
    """The endpoint is up while it answers as expected, and says why when it is not."""
    answers = {b"ping": [b"a pong"]}
    with Echo("a", answer=lambda data: answers.get(data, [])) as echo:
        balancer = checked(echo, 'type = "udp", send = "ping", expect = "pong"')
        balancer.until(lambda: state_is(balancer, echo, "healthy"))
        answers[b"ping"] = [b"something else"]
        balancer.until(lambda: state_is(balancer, echo, "unhealthy", "response: expected text not found"))
        answers[b"ping"] = [b"pong"]
        balancer.until(lambda: state_is(balancer, echo, "healthy"))
        answers.clear()
        balancer.until(lambda: state_is(balancer, echo, "unhealthy", "response: timed out"))
        answers[b"ping"] = [b"pong"]
        balancer.until(lambda: state_is(balancer, echo, "healthy"))


def test_the_proxy_protocol(checked) -> None:
    """An endpoint that expects its header gets one with each check: version 2's for LOCAL, without addresses."""
    local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
    with Echo("a", answer=lambda data: [b"pong"] if data == local + b"ping" else []) as echo:
        balancer = checked(echo, 'type = "udp", send = "ping"', 'proxy_protocol = "v2"')
        balancer.until(lambda: state_is(balancer, echo, "healthy"))


def test_an_endpoint_that_is_not_there(checked) -> None:
    """The network says so, and nobody has to wait for the check's end."""
    # An address that no other test binds, since a port that is free now may be taken a moment later.
    nobody = f"127.91.7.3:{free_port()}"
    balancer = checked(nobody, 'type = "udp", send = "ping"')
    balancer.until(lambda: state_is(balancer, nobody, "unhealthy", "response: connection refused"))


def test_dns(checked) -> None:
    """The response code decides."""
    code = [0]

    def answer(question: bytes) -> list[bytes]:
        assert question[12:] == b"\x07example\x03com\0\0\x1c\0\x01"
        return [question[:2] + bytes((0x81, 0x80 | code[0])) + question[4:]]

    with contextlib.ExitStack() as running:
        echo = running.enter_context(Echo("a", answer=answer))
        balancer = checked(echo, 'type = "dns", name = "example.com", record = "AAAA"')
        balancer.until(lambda: state_is(balancer, echo, "healthy"))
        code[0] = 5
        balancer.until(lambda: state_is(balancer, echo, "unhealthy", "response: REFUSED"))
