"""Clients that attack by HTTP/2: each is cut off and counted, holds little memory, and keeps nobody else waiting."""

import socket

import pytest

from bench.load import attacks

from ..support.http2 import Http2Client


@pytest.mark.parametrize(
    ("attack", "reasons"),
    [
        (attacks.rapid_reset, {"rapid_reset"}),
        (attacks.made_you_reset, {"made_you_reset"}),
        (attacks.continuations, {"continuation_flood", "empty_frames"}),
        (attacks.long_continuations, {"continuation_flood", "header_bomb", "head_too_large"}),
        (attacks.bomb, {"header_bomb", "head_too_large"}),
        (attacks.settings, {"settings_flood"}),
        (attacks.pings, {"ping_flood"}),
        (attacks.priorities, {"priority_flood"}),
        (attacks.empty_data, {"empty_frames"}),
        (attacks.window_updates, {"window_update_flood"}),
        (attacks.unknown, {"unknown_frames"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_attacker_is_cut_off(web, servers, attack, reasons) -> None:
    """After some thousands of frames at most. A good client beside it is served all the while."""
    serving = web(*servers("a"), top='access_log = "-"')
    with (
        Http2Client(socket.create_connection(serving.port.address, 10)) as good,
        Http2Client(socket.create_connection(serving.port.address, 10)) as bad,
    ):
        assert good.ask().text == "a"
        assert serving.balancer.metric("evenly_http2_connections_total") == 2
        before = serving.balancer.memory()
        sent = 0
        try:
            for turn in range(200_000):
                sent += bad.socket.send(attack(turn))
                if turn % 500 == 0:
                    assert good.ask().text == "a"
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 16 << 20, f"still served after {sent} bytes"
        metric = serving.balancer.metric
        serving.balancer.until(
            lambda: (
                sum(metric("evenly_http2_errors_total", scope="connection", reason=reason) for reason in reasons) == 1
            )
        )
        (told,) = (each["http2"] for each in serving.balancer.status()["listeners"])
        assert told["connections"] == 2
        assert sum(told["ended_connections"].get(reason, 0) for reason in reasons) == 1
        assert good.ask().text == "a"
        assert serving.balancer.memory() - before < 4 << 20
        assert serving.balancer.access(status=None)["reason"] in ("http2-abuse", "http2-bad")
