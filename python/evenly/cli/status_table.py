"""How a status looks on a terminal of 80 columns or more. Pure: a status goes in, something to print comes out."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evenly.control.status import (
    AffinityStatus,
    CircuitStatus,
    ConcurrencyStatus,
    EndpointStatus,
    HedgeStatus,
    Http2Status,
    Http3Status,
    LevelStatus,
    ListenerStatus,
    MirrorStatus,
    Phase,
    PoolStatus,
    QueueStatus,
    RetryStatus,
    SplitStatus,
    Status,
    TlsStatus,
    ZoneStatus,
)

STATE_STYLES = {
    "healthy": "green",
    "starting": "cyan",
    "draining": "yellow",
    "maintenance": "magenta",
    "unhealthy": "bold red",
    "ejected": "bold red",
}

BAR_COLUMNS = 8
_EIGHTHS = " ▏▎▍▌▋▊▉█"

Earlier = tuple[Status, float]
"""A status and when it was asked for, in unix seconds."""


def render(status: Status, now: float, since: Earlier | None = None) -> RenderableType:
    """The whole status. With an earlier one, shares are of what happened since then, and rates are shown."""
    elapsed = None if since is None else max(now - since[1], 0.001)
    before = {} if since is None else {pool.name: pool for pool in since[0].pools}
    parts: list[RenderableType] = [_head(status, now), Text(), _listeners(status.listeners)]
    parts += [_handshakes(listener.name, listener.tls) for listener in status.listeners if listener.tls is not None]
    parts += [line for listener in status.listeners for line in (*_http2(listener), *_http3(listener))]
    if status.splits:
        parts += [Text(), *map(split_line, status.splits)]
    if status.mirrors:
        parts += [Text(), *map(_mirror, status.mirrors)]
    for name, problem in status.renewals_failing.items():
        parts += [Text(f"certificate {name} is not renewed: {problem}", "bold red")]
    if any(zone.evacuated_until for zone in status.zones):
        parts += [Text(), *(_evacuation(zone, now) for zone in status.zones if zone.evacuated_until)]
    for pool in status.pools:
        parts += [Text(), _pool_title(pool), *_serving(pool), *_source(pool, now), *_circuit(pool.circuit)]
        parts += map(_level, pool.levels)
        parts += [*_concurrency(pool.concurrency), *_queue(pool.queue), *_grpc(pool.grpc)]
        parts += [*_retries(pool.retries), *_hedge(pool.hedge)]
        parts += [_endpoints(pool, before.get(pool.name), elapsed)]
        parts += [_why(endpoint, now) for endpoint in pool.endpoints if endpoint.state != "healthy" or endpoint.reason]
        parts += [
            line
            for endpoint in pool.endpoints
            if endpoint.circuit is not None and endpoint.circuit.state != "closed"
            for line in _circuit(endpoint.circuit, f"{endpoint.address} ")
        ]
        parts += [
            Text(f"  {endpoint.address} TLS: {endpoint.tls.trouble}", "red")
            for endpoint in pool.endpoints
            if endpoint.tls is not None and endpoint.tls.trouble is not None
        ]
    return Group(*parts)


def split_line(split: SplitStatus) -> Text:
    """Where a route's requests go, and that an operator has said so."""
    total = sum(split.weights.values())
    shares = ", ".join(f"{weight / total:.1%} to {pool}".replace(".0%", "%") for pool, weight in split.weights.items())
    file = " ".join(f"{pool}={weight}" for pool, weight in split.file.items())
    said = "" if split.weights == split.file else f" (set by the operator; the file says {file})"
    return Text.assemble("route ", (split.route, "bold"), f" · {shares}{said}")


def _mirror(mirror: MirrorStatus) -> Text:
    """What became of a route's copies, and how many answers differed."""
    told = [f"{count:,} {word}" for word, count in mirror.copies.items() if count] or ["none yet"]
    compared = mirror.compared or {}
    other = sum(compared.values()) - compared.get("same", 0)
    differ = f" · {other:,} of {sum(compared.values()):,} answers differ" if compared else ""
    return Text.assemble("copies of ", (mirror.route, "bold"), f" to {mirror.pool}: {', '.join(told)}{differ}")


def bar(share: float, columns: int = BAR_COLUMNS) -> str:
    """A bar for a share of 0 to 1, drawn in eighths of a column."""
    eighths = round(max(0.0, min(share, 1.0)) * columns * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()).ljust(columns)


def duration(seconds: float) -> str:
    """About how long: "45 s", "12 min", "3 h", "5 d"."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def plain_table() -> Table:
    """A table without lines: columns are enough, and it can be copied."""
    return Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))


def _head(status: Status, now: float) -> Text:
    serving = status.phase is Phase.SERVING
    zone = "" if status.zone is None else f" · zone {status.zone}"
    facts = f" · pid {status.pid}{zone} · up {duration(now - status.started)} · generation {status.generation}"
    return Text.assemble(
        (f"evenly {status.version}", "bold"),
        " · ",
        (str(status.phase), "green" if serving else "yellow"),
        f"{facts} · {status.workers} worker{'' if status.workers == 1 else 's'}\n",
        (status.configuration, "dim"),
        (f" · {status.edits:,} edited at run time" if status.edits else "", "yellow"),
    )


def _listeners(listeners: list[ListenerStatus]) -> Table:
    table = plain_table()
    table.add_column("listener", min_width=8)
    table.add_column("protocol")
    table.add_column("address", overflow="fold")
    for name in ("open", "accepted", "requests"):
        table.add_column(name, justify="right")
    for listener in listeners:
        numbers = (listener.connections, listener.accepted, listener.requests)
        protocol = listener.protocol if listener.tls is None else f"{listener.protocol} over tls"
        protocol += "" if listener.http3 is None else " and quic"
        table.add_row(listener.name, protocol, "\n".join(listener.bind), *(f"{each:,}" for each in numbers))
    return table


def _handshakes(listener: str, tls: TlsStatus) -> Text:
    failed = (f"{tls.failures:,} failed", "red" if tls.failures else "dim")
    return Text.assemble((f"  {listener}: {tls.handshakes:,} handshakes · {tls.resumed:,} resumed · ", "dim"), failed)


def _http2(listener: ListenerStatus) -> list[Text]:
    """Who speaks it, and what clients did that they should not."""
    http2 = listener.http2
    if http2 is None or not http2.connections:
        return []
    return [
        Text(f"  {listener.name}: {http2.connections:,} connections by HTTP/2", "dim"),
        *_ended(listener, "HTTP/2", http2),
    ]


def _http3(listener: ListenerStatus) -> list[Text]:
    """The same, and how it goes with their packets."""
    http3 = listener.http3
    if http3 is None or not (http3.connections or http3.retries or http3.lost_packets):
        return []
    facts = [(http3.migrations, "migrations"), (http3.retries, "retries")]
    told = "".join(f" · {count:,} {what}" for count, what in facts if count)
    lost = f" · {http3.lost_packets:,} packets lost" if http3.lost_packets else ""
    head = f"  {listener.name}: {http3.connections:,} connections by HTTP/3{told}"
    return [Text.assemble((head, "dim"), (lost, "red")), *_ended(listener, "HTTP/3", http3)]


def _ended(listener: ListenerStatus, protocol: str, spoken: Http2Status | Http3Status) -> list[Text]:
    """What was ended because of what clients did."""
    nouns = (("streams", spoken.ended_streams), ("connections", spoken.ended_connections))
    return [
        Text(f"  {listener.name}: {sum(counts.values()):,} {protocol} {noun} ended for faults: {_most(counts)}", "red")
        for noun, counts in nouns
        if counts
    ]


def _most(counts: Mapping[str, int], shown: int = 2) -> str:
    """The most frequent of them, and how many others."""
    ordered = sorted(counts.items(), key=lambda each: -each[1])
    others = sum(count for _, count in ordered[shown:])
    told = [f"{count:,} {word}" for word, count in ordered[:shown]]
    return ", ".join([*told, f"{others:,} other"] if others else told)


def _pool_title(pool: PoolStatus) -> Text:
    usable = sum(endpoint.state == "healthy" for endpoint in pool.endpoints)
    fallback = "" if pool.fallback is None else f" · falls back to {pool.fallback}"
    style = "green" if usable == len(pool.endpoints) else "yellow" if usable else "bold red"
    return Text.assemble(
        "pool ",
        (pool.name, "bold"),
        f" · {pool.balance} · {_affinity(pool.affinity)}",
        (f"{usable} of {len(pool.endpoints)} healthy", style),
        fallback,
    )


def _source(pool: PoolStatus, now: float) -> list[Text]:
    """Where a pool's endpoints come from, how old that answer is, and why there is no newer one."""
    discovery = pool.discovery
    if discovery is None:
        return []
    style = {"answering": "green", "failing": "bold red"}.get(discovery.state, "cyan")
    age = f" · answered {duration(now - discovery.answered)} ago" if discovery.answered else ""
    left_out = f" · {discovery.left_out:,} left out" if discovery.left_out else ""
    facts = f" · {discovery.endpoints:,} found{left_out}{age}"
    lines = [Text.assemble("  from ", discovery.source, " · ", (str(discovery.state), style), facts)]
    if discovery.error:
        lines.append(Text(f"  for {duration(now - discovery.failing_since)}: {discovery.error}", "dim"))
    return lines


def _serving(pool: PoolStatus) -> list[Text]:
    """Who gets traffic, where that is not simply who is healthy."""
    who = {
        "none-healthy-yet": "no endpoint has been checked yet: all of them get traffic",
        "backup": "backups get the traffic",
        "backup-none-healthy-yet": "backups get the traffic, and none has been checked yet",
        "circuits-open": "no circuit is closed: endpoints get the traffic whatever theirs say",
        "evacuated": "nothing is left outside the evacuated zones: endpoints there get the traffic",
        "panic": "panic: fewer are healthy than `panic_threshold`, so all of them get traffic",
    }
    if pool.serving == "healthy":
        return []
    return [Text(f"  {who.get(pool.serving, f'nobody gets traffic: {pool.serving}')}", "bold red")]


CIRCUIT_STYLES = {"closed": "green", "half-open": "yellow", "open": "bold red"}


def _circuit(circuit: CircuitStatus | None, whose: str = "") -> list[Text]:
    """Where a circuit breaker is and why, and how much of its room is taken."""
    if circuit is None:
        return []
    left = f" · half-open in {duration(circuit.open_for)}" if circuit.state == "open" else ""
    reason = f": {circuit.reason}" if circuit.reason else ""
    failed = f" · {circuit.failed:,} of {circuit.requests:,} failed" if circuit.state == "closed" else ""
    room = "" if circuit.max_requests is None else f" · {circuit.in_flight:,} of {circuit.max_requests:,} under way"
    state = (circuit.state, CIRCUIT_STYLES[circuit.state])
    return [Text.assemble(f"  {whose}circuit ", state, f"{reason}{left}{failed}{room}")]


def _concurrency(concurrency: ConcurrencyStatus | None) -> list[Text]:
    """How much of an adaptive limit is taken, and the response times that it follows."""
    if concurrency is None:
        return []
    last, unloaded = concurrency.last, concurrency.unloaded
    times = ""
    if last is not None and unloaded is not None:
        times = f" · {last * 1000:,.1f} ms, {unloaded * 1000:,.1f} ms without load"
    style = "yellow" if concurrency.in_flight >= concurrency.limit else ""
    taken = (f"{concurrency.in_flight:,} of {concurrency.limit:,} under way", style)
    return [Text.assemble("  adaptive limit: ", taken, times)]


def _queue(queue: QueueStatus | None) -> list[Text]:
    """How many requests wait for an endpoint with room, and how many did in vain; nothing while none ever had to."""
    if queue is None or not (queue.waited or queue.full):
        return []
    now = (f"{queue.waiting:,} of {queue.size:,} wait", "yellow" if queue.waiting else "")
    vain = [(queue.timeouts, "too long"), (queue.full, "turned away")]
    failed = "".join(f" · {count:,} {what}" for count, what in vain if count)
    return [Text.assemble("  queue: ", now, f" · {queue.waited:,} waited so far", (failed, "red"))]


def _grpc(calls: dict[str, int] | None) -> list[Text]:
    """How calls of gRPC ended."""
    if not calls:
        return []
    failed = {status: count for status, count in calls.items() if status != "OK"}
    told = (f" · {_most(failed)}" if failed else "", "red")
    return [Text.assemble(f"  gRPC: {sum(calls.values()):,} calls · {calls.get('OK', 0):,} OK", told)]


def _retries(retries: RetryStatus) -> list[Text]:
    """How often requests were tried again and after what; nothing for a pool that never had to."""
    total = sum(retries.causes.values())
    if total + retries.refused == 0:
        return []
    causes = ", ".join(f"{count:,} {cause}" for cause, count in retries.causes.items() if count)
    return [Text.assemble(f"  {total:,} retries", f" ({causes})" if causes else "", _refused(retries.refused))]


def _hedge(hedge: HedgeStatus | None) -> list[Text]:
    """When requests get a second try beside the first, and how often that was the faster one."""
    if hedge is None:
        return []
    delay = f"after {hedge.delay * 1000:,.1f} ms" if hedge.delay else "when enough response times are known"
    return [Text.assemble(f"  hedges {delay} · {hedge.sent:,} sent · {hedge.won:,} won", _refused(hedge.refused))]


def _refused(count: int) -> tuple[str, str]:
    return (f" · {count:,} over budget" if count else "", "red")


def _affinity(affinity: AffinityStatus | None) -> str:
    if affinity is None:
        return ""
    entries = "" if affinity.entries is None else f" ({affinity.entries:,} clients)"
    return f"affinity by {affinity.by}{entries} · "


def _evacuation(zone: ZoneStatus, now: float) -> Text:
    left = duration((zone.evacuated_until or now) - now)
    return Text(
        f"zone {zone.name} is evacuated for another {left}: {zone.healthy} of {zone.endpoints} healthy", "yellow"
    )


def _level(level: LevelStatus) -> Text:
    place = {"local": " in this zone", "other": " in other zones", "any": ""}[level.zone]
    name = f"backup{place}" if level.backup else f"priority {level.priority}{place}"
    usable = f"{level.usable_weight:,} of {level.weight:,} weight usable"
    return Text.assemble("  ", (bar(level.share), "cyan"), f"{level.share:5.0%} to {name}, {usable}")


def _endpoints(pool: PoolStatus, before: PoolStatus | None, elapsed: float | None) -> Table:
    table = plain_table()
    table.add_column("endpoint", overflow="fold", min_width=14)
    table.add_column("state")
    table.add_column("weight", justify="right")
    table.add_column("share" if elapsed is None else "share now", min_width=BAR_COLUMNS + 5, no_wrap=True)
    table.add_column("in flight", justify="right")
    table.add_column("requests" if elapsed is None else "a second", justify="right")
    table.add_column("failed", justify="right")
    counts = _counts(pool, before)
    total = sum(counts.values())
    for endpoint in pool.endpoints:
        count = counts[endpoint.address]
        share = count / total if total else 0.0
        table.add_row(
            endpoint.address + _remarks(endpoint),
            Text(endpoint.state, STATE_STYLES[endpoint.state]),
            f"{endpoint.weight}" if endpoint.share == 100 else f"{endpoint.weight} × {endpoint.share}%",
            Text.assemble((bar(share), "cyan"), f"{share:5.0%}"),
            f"{endpoint.in_flight:,}",
            f"{endpoint.requests:,}" if elapsed is None else f"{count / elapsed:,.0f}",
            Text(f"{endpoint.failures:,}", "red" if endpoint.failures else ""),
        )
    return table


def _remarks(endpoint: EndpointStatus) -> str:
    """What sets an endpoint apart from its neighbours, in brackets."""
    remarks = [
        *(["backup"] if endpoint.backup else []),
        *([f"zone {endpoint.zone}"] if endpoint.zone is not None else []),
        *([f"priority {endpoint.priority}"] if endpoint.priority else []),
    ]
    return f" ({', '.join(remarks)})" if remarks else ""


def _why(endpoint: EndpointStatus, now: float) -> Text:
    # Nobody notes the time for a pool without health checks.
    since = f" for {duration(now - endpoint.since)}" if endpoint.since else ""
    reason = f": {endpoint.reason}" if endpoint.reason else ""
    return Text(f"  {endpoint.address} {endpoint.state}{since}{reason}", "dim")


def _counts(pool: PoolStatus, before: PoolStatus | None) -> dict[str, int]:
    """Requests of each endpoint, since the earlier status if there is one."""
    earlier = {} if before is None else {endpoint.address: endpoint.requests for endpoint in before.endpoints}
    return {each.address: max(each.requests - earlier.get(each.address, 0), 0) for each in pool.endpoints}
