"""How a status looks."""

from evenly.cli.status_table import bar, duration, render
from evenly.control.status import (
    CircuitStatus,
    ConcurrencyStatus,
    DiscoveryState,
    DiscoveryStatus,
    EndpointStatus,
    HedgeStatus,
    Http2Status,
    Http3Status,
    ListenerStatus,
    MirrorStatus,
    Phase,
    PoolStatus,
    QueueStatus,
    RetryStatus,
    Status,
    TlsStatus,
)
from rich.console import Console

NOW = 1_000_000.0


def endpoint(address: str, requests: int, state: str = "healthy", reason: str = "") -> EndpointStatus:
    """An endpoint."""
    return EndpointStatus.model_validate(
        {
            "address": address,
            "weight": 65535,
            "backup": False,
            "share": 100,
            "zone": None,
            "priority": 0,
            "evacuated": False,
            "state": state,
            "reason": reason,
            "since": NOW - 12,
        }
        | {"in_flight": 99, "requests": requests, "failures": 3}
    )


def status(*endpoints: EndpointStatus) -> Status:
    """A process with one pool."""
    return Status(
        generation=3, workers=2, connections=7, requests=100, phase=Phase.SERVING, version="0.1.0", pid=42,
        started=NOW - 7200, zone=None, zones=[], splits=[], configuration="evenly.toml",
        listeners=[
            ListenerStatus(
                name="web", protocol="http", bind=["0.0.0.0:8080", "[::]:8080"], connections=7, accepted=9, requests=100
            )
        ],
        pools=[PoolStatus(name="app", balance="round-robin", fallback=None, levels=[], endpoints=list(endpoints))],
    )  # fmt: skip


def drawn(*arguments: object, **keywords: object) -> str:
    """What is printed on 80 columns."""
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(render(*arguments, **keywords))  # type: ignore[arg-type]
    return console.export_text()


def test_a_pool_says_who_gets_its_traffic_in_panic() -> None:
    told = status(endpoint("10.0.0.1:9000", 1))
    assert "panic" not in drawn(told, NOW)
    panic = told.model_copy(update={"pools": [told.pools[0].model_copy(update={"serving": "panic"})]})
    assert "panic: fewer are healthy" in drawn(panic, NOW)
    nobody = told.model_copy(update={"pools": [told.pools[0].model_copy(update={"serving": "no-endpoint-draining"})]})
    assert "nobody gets traffic: no-endpoint-draining" in drawn(nobody, NOW)


def test_a_listener_says_what_it_speaks() -> None:
    told = status(endpoint("10.0.0.1:9000", 1))
    none = {"ended_streams": {}, "ended_connections": {}}
    quiet = {"migrations": 0, "retries": 0, "lost_packets": 0}

    def spoken(**protocols: object) -> str:
        tls = TlsStatus(handshakes=8, resumed=2, failures=1)
        listener = told.listeners[0].model_copy(update={"tls": tls, **protocols})
        return drawn(told.model_copy(update={"listeners": [listener]}), NOW)

    text = spoken(
        http2=Http2Status.model_validate({"connections": 7} | none),
        http3=Http3Status.model_validate({"connections": 3} | none | quiet | {"migrations": 1}),
    )
    assert "http over tls and quic" in text
    assert "web: 8 handshakes · 2 resumed · 1 failed" in text
    assert "web: 7 connections by HTTP/2\n" in text
    assert "web: 3 connections by HTTP/3 · 1 migrations\n" in text
    text = spoken(
        http2=Http2Status.model_validate({"connections": 0} | none),
        http3=Http3Status.model_validate({"connections": 0} | none | quiet),
    )
    assert "by HTTP/" not in text


def test_a_listener_says_what_clients_did() -> None:
    told = status(endpoint("10.0.0.1:9000", 1))
    http2 = Http2Status(
        connections=1200,
        ended_streams={"protocol": 1, "malformed": 20, "refused": 3, "flow_control": 2, "stream_state": 4},
        ended_connections={"rapid_reset": 5},
    )
    http3 = Http3Status(
        connections=0, ended_streams={}, ended_connections={"quic": 2}, migrations=0, retries=3, lost_packets=4
    )
    listener = told.listeners[0].model_copy(update={"http2": http2, "http3": http3})
    text = drawn(told.model_copy(update={"listeners": [listener]}), NOW)
    assert (
        "  web: 1,200 connections by HTTP/2\n"
        "  web: 30 HTTP/2 streams ended for faults: 20 malformed, 4 stream_state, 6 other\n"
        "  web: 5 HTTP/2 connections ended for faults: 5 rapid_reset\n"
        "  web: 0 connections by HTTP/3 · 3 retries · 4 packets lost\n"
        "  web: 2 HTTP/3 connections ended for faults: 2 quic\n"
    ) in text


def test_a_pool_says_who_waits_and_how_calls_ended() -> None:
    told = status(endpoint("10.0.0.1:9000", 1))

    def drawn_with(**update: object) -> str:
        return drawn(told.model_copy(update={"pools": [told.pools[0].model_copy(update=update)]}), NOW)

    idle = QueueStatus(waiting=0, size=100, waited=0, timeouts=0, full=0)
    assert "queue" not in drawn_with(queue=idle)
    busy = QueueStatus(waiting=3, size=100, waited=1200, timeouts=2, full=5)
    assert "  queue: 3 of 100 wait · 1,200 waited so far · 2 too long · 5 turned away\n" in drawn_with(queue=busy)
    past = busy.model_copy(update={"waiting": 0, "timeouts": 0, "full": 0})
    assert "  queue: 0 of 100 wait · 1,200 waited so far\n" in drawn_with(queue=past)
    assert "  gRPC: 1,000 calls · 1,000 OK\n" in drawn_with(grpc={"OK": 1000})
    calls = {"OK": 1000, "CANCELLED": 2, "UNKNOWN": 1, "INTERNAL": 4, "UNAVAILABLE": 30}
    ended = "gRPC: 1,037 calls · 1,000 OK · 30 UNAVAILABLE, 4 INTERNAL, 3 other"
    assert f"  {ended}\n" in drawn_with(grpc=calls)
    assert "  gRPC: 2 calls · 0 OK · 2 UNAVAILABLE\n" in drawn_with(grpc={"UNAVAILABLE": 2})


def test_a_status_fits_on_80_columns_and_says_why_one_is_out() -> None:
    text = drawn(
        status(
            endpoint("10.123.123.123:19000", 3_000_000),
            endpoint("10.0.0.2:9000", 1_000_000, "unhealthy", "connect: connection refused"),
        ),
        NOW,
    )
    assert "…" not in text
    assert "evenly 0.1.0 · serving · pid 42 · up 2 h · generation 3 · 2 workers" in text
    assert "pool app · round-robin · 1 of 2 healthy" in text
    assert "75%" in text
    assert "10.0.0.2:9000 unhealthy for 12 s: connect: connection refused" in text
    (row,) = [line for line in text.splitlines() if line.startswith("10.123.123.123:19000")]
    assert row.split() == ["10.123.123.123:19000", "healthy", "65535", "██████", "75%", "99", "3,000,000", "3"]


def test_watching_shows_what_happened_since() -> None:
    before = status(endpoint("10.0.0.1:9000", 1000), endpoint("10.0.0.2:9000", 1000))
    now = status(endpoint("10.0.0.1:9000", 1010), endpoint("10.0.0.2:9000", 1030))
    text = drawn(now, NOW, since=(before, NOW - 2))
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.startswith("10.")}
    assert rows["10.0.0.1:9000"][-4:] == ["25%", "99", "5", "3"]
    assert rows["10.0.0.2:9000"][-4:] == ["75%", "99", "15", "3"]


def test_a_source_says_how_it_goes() -> None:
    now = status(endpoint("10.0.0.1:9000", 1000))
    failing = DiscoveryStatus(
        source="dns app.internal:9000", state=DiscoveryState.FAILING, endpoints=3, answered=NOW - 300, changed=NOW,
        error="app.internal A: no DNS server answered within 5 s", failing_since=NOW - 60, left_out=2,
    )  # fmt: skip
    pool = now.pools[0].model_copy(update={"discovery": failing})
    text = drawn(now.model_copy(update={"pools": [pool], "edits": 2}), NOW)
    assert "  from dns app.internal:9000 · failing · 3 found · 2 left out · answered 5 min" in text
    assert "  for 1 min: app.internal A: no DNS server answered within 5 s" in text
    assert "evenly.toml · 2 edited at run time" in text


def test_bars_are_drawn_in_eighths() -> None:
    assert [bar(share, 2) for share in (0.0, 1 / 16, 0.5, 0.75, 1.0, 2.0)] == ["  ", "▏ ", "█ ", "█▌", "██", "██"]


def test_durations_are_said_as_a_person_would() -> None:
    said = [duration(seconds) for seconds in (-1, 0, 59, 60, 7200, 200_000)]
    assert said == ["0 s", "0 s", "59 s", "1 min", "2 h", "2 d"]


def test_an_adaptive_limit_says_what_it_follows() -> None:
    before = status(endpoint("10.0.0.1:9000", 1))
    for times, line in [
        ({"unloaded": None, "last": None}, "adaptive limit: 7 of 42 under way"),
        ({"unloaded": 0.0081, "last": 0.012}, "adaptive limit: 7 of 42 under way · 12.0 ms, 8.1 ms without load"),
    ]:
        limit = ConcurrencyStatus.model_validate({"limit": 42, "in_flight": 7} | times)
        pools = [before.pools[0].model_copy(update={"concurrency": limit})]
        assert f"  {line}\n" in drawn(before.model_copy(update={"pools": pools}), NOW)


def test_copies_are_counted_and_compared() -> None:
    before = status(endpoint("10.0.0.1:9000", 1))
    copies = {"answered": 1200, "failed": 3, "no-endpoint": 0}
    for compared, line in [
        (None, "copies of all to next: 1,200 answered, 3 failed\n"),
        (
            {"same": 1190, "status": 10},
            "copies of all to next: 1,200 answered, 3 failed · 10 of 1,200 answers differ\n",
        ),
    ]:
        mirror = MirrorStatus(route="all", pool="next", copies=copies, compared=compared)
        assert line in drawn(before.model_copy(update={"mirrors": [mirror]}), NOW)


def test_further_tries_are_counted() -> None:
    before = status(endpoint("10.0.0.1:9000", 1))
    assert "retries" not in drawn(before, NOW)
    retries = RetryStatus(causes={"connect-failure": 3, "reset": 0, "status": 1200}, refused=4)
    hedge = HedgeStatus(delay=0.0124, sent=1204, won=402, refused=0)
    pools = [before.pools[0].model_copy(update={"retries": retries, "hedge": hedge})]
    text = drawn(before.model_copy(update={"pools": pools}), NOW)
    assert "1,203 retries (3 connect-failure, 1,200 status) · 4 over budget" in text
    assert "hedges after 12.4 ms · 1,204 sent · 402 won" in text


def test_a_circuit_says_where_it_is_and_why() -> None:
    of = {"reason": "", "open_for": 0.0, "requests": 1234, "failed": 5, "in_flight": None, "max_requests": None}
    calm = CircuitStatus.model_validate(of | {"state": "closed"})
    opened = CircuitStatus.model_validate(
        of
        | {"state": "open", "reason": "a probe failed, for 10 s", "open_for": 3.2, "in_flight": 7, "max_requests": 400}
    )
    before = status(endpoint("10.0.0.1:9000", 1))
    for circuit, line in [
        (calm, "circuit closed · 5 of 1,234 failed"),
        (opened, "circuit open: a probe failed, for 10 s · half-open in 3 s · 7 of 400 under way"),
    ]:
        pools = [before.pools[0].model_copy(update={"circuit": circuit})]
        assert line in drawn(before.model_copy(update={"pools": pools}), NOW)
    for circuit, is_told in [(calm, False), (opened, True)]:
        of_one = [endpoint("10.0.0.1:9000", 1).model_copy(update={"circuit": circuit}), endpoint("10.0.0.2:9000", 1)]
        text = drawn(status(*of_one), NOW)
        assert ("10.0.0.1:9000 circuit open: a probe failed, for 10 s · half-open in 3 s" in text) is is_told
        assert "10.0.0.2:9000 circuit" not in text
