"""Writes docs/benchmarks.md from the results of a session. Pure."""

from collections.abc import Iterable, Sequence

from bench.record import Results
from bench.report import words
from bench.report.goals import GOALS, OURS, verdicts
from bench.session import Measured

PEERS = ("haproxy", "nginx", "envoy", "floor")

INTRODUCTION = """\
# Benchmarks

<!-- Rendered by `make bench` from bench/results/latest.json; do not edit. -->

Evenly beside its peers in one run on one machine. Less is better everywhere except for rates. The figure to compare is
**CPU time per request**: how much of a core a proxy needs for the work. The highest rate is not compared, because load
generator and origin need more CPU than the proxy and are exhausted first.

* One proxy at a time works, alone on core 0, with one worker; load generator (wrk, h2load, steady.c) and origin (nginx)
  share core 1. CPU time is the sum over all threads of all its processes, from `/proc/PID/task/*/schedstat`.
* Runs are interleaved (A B C D, A B C D, …). A table shows the median and half the range of the runs; a ratio is the
  median of the ratios pair by pair, with the lowest and the highest. Where a range includes 1.00, the difference is
  noise.
* Equal work: HTTP/1.1 keep-alive to the origin from pools of the same size; X-Forwarded-For, -Proto, -Host and
  X-Request-Id set; timeouts on; access logs off; nothing buffered on disk. Otherwise every proxy runs with its
  defaults.
* Over TLS the load offers TLS 1.3 with TLS_AES_128_GCM_SHA256 and X25519 and nothing else, so that all choose the
  same; the certificate is the same for all too, ECDSA on P-256 and signed by itself. To the origin every proxy speaks
  plain HTTP/1.1, whatever comes in.
* *floor* is a relay of 100 lines that looks at no byte ([floor.c](../bench/peers/floor.c)): what the kernel alone
  costs. It opens a connection to the origin for each client connection, which the proxies save when connections are
  short. *direct* is the load on the origin without any proxy.
* Configurations: {configurations}. Raw numbers: [latest.json](../bench/results/latest.json).
"""

# The marks in README.md.
OPENING = "<!-- benchmarks:"
CLOSING = "<!-- /benchmarks -->"

CONFIGURATIONS = (
    "evenly.toml.in",
    "haproxy.cfg.in",
    "nginx.conf.in",
    "nginx-tcp.conf.in",
    "envoy.yaml.in",
    "origin.conf.in",
)


def page(results: Results) -> str:
    """The whole page."""
    links = ", ".join(f"[{name.removesuffix('.in')}](../bench/peers/{name})" for name in CONFIGURATIONS)
    rows = {row.name: row for row in results.rows}
    cpu = [row for row in results.rows if row.figure == "cpu_us" and not row.name.startswith("routes-")]
    parts = [
        INTRODUCTION.format(configurations=links),
        _where(results),
        _goals(rows.values()),
        "## CPU time per request\n\n![CPU time per request relative to Evenly](benchmarks.svg)\n",
        _medians(cpu),
        _ratios(cpu),
        _other_settings(cpu),
        _rates(cpu),
        *(_routes(row) for row in results.rows if row.name.startswith("routes-")),
        *(_latency(row) for row in results.rows if row.figure == "p99_us"),
        *(_memory(row) for row in results.rows if row.figure == "private_bytes"),
        _handshakes([row for row in results.rows if row.figure == "handshake_cpu_us"]),
        *(_datagrams(row) for row in results.rows if row.figure == "datagram_cpu_us"),
        *(_checks(row) for row in results.rows if row.figure == "core_percent"),
        _instructions([row for row in results.rows if row.figure == "instructions"]),
        _doubts(results.rows),
    ]
    return "\n".join(part for part in parts if part)


def digest(results: Results) -> str:
    """The table for the README: the rows that Evenly promises something about, as ratios."""
    promised = [row for row in results.rows if row.name in {goal.row for goal in GOALS if goal.against in PEERS}]
    lines = [
        (row.title, *(words.ratio(row.values(OURS), row.values(label)) for label in PEERS[:3])) for row in promised
    ]
    return table(("Evenly ÷", *(_named(label, results) for label in PEERS[:3])), lines)


def filled(text: str, content: str) -> str:
    """`text` with `content` between its two marks. Raises ``ValueError`` when it has none."""
    before, opening, rest = text.partition(OPENING)
    _, closing, after = rest.partition(CLOSING)
    if not closing:
        raise ValueError(f"no {OPENING!r} and {CLOSING!r} to write between")
    first_line, _, _ = rest.partition("\n")
    return f"{before}{opening}{first_line}\n\n{content}\n{closing}{after}"


def _named(label: str, results: Results) -> str:
    return f"{label} {results.versions[label]}" if label in results.versions else label


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table whose columns, but for the first, are right-aligned."""
    marks = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, marks, *lines)) + "\n"


def _where(results: Results) -> str:
    versions = " · ".join(f"{name} {version}" for name, version in results.versions.items())
    machine = " · ".join(f"{name} {value}" for name, value in results.machine.items())
    plan = f"{results.plan.runs} runs of {results.plan.seconds} s each"
    return f"Taken {results.taken}, {plan}.  \nVersions: {versions}.  \nMachine: {machine}.\n"


def _goals(rows: Iterable[Measured]) -> str:
    lines = [
        (
            one.title,
            f"≤ {one.goal.limit:.2f} × {one.goal.against}" if one.goal.against else f"≤ {one.goal.limit:,.0f}",
            f"{one.measured:.2f} ×" if one.goal.against else f"{one.measured:,.0f}",
            "yes" if one.met else "**no**",
        )
        for one in verdicts({row.name: row for row in rows})
    ]
    return "## Goals\n\n" + table(("", "goal", "measured", "met"), lines) if lines else ""


def _medians(rows: Sequence[Measured]) -> str:
    columns = (OURS, *PEERS)
    lines = [(row.title, *(words.with_noise(row.figure, row.values(label)) for label in columns)) for row in rows]
    return "In µs:\n\n" + table(("", *columns), lines)


def _ratios(rows: Sequence[Measured]) -> str:
    lines = [(row.title, *(words.ratio(row.values(OURS), row.values(label)) for label in PEERS)) for row in rows]
    return "Evenly's share of what the other needs:\n\n" + table(("", *PEERS), lines)


def _other_settings(rows: Sequence[Measured]) -> str:
    known = {OURS, *PEERS, "direct"}
    lines = [
        (
            row.title,
            label,
            words.with_noise(row.figure, row.values(label)),
            words.ratio(row.values(OURS), row.values(label)),
        )
        for row in rows
        for label in row.samples
        if label not in known
    ]
    text = (
        "### The peers with other settings\n\n*bare* adds no header to a request, which is less work than Evenly does. "
        "*tuned* has larger buffers: HAProxy 64 KiB instead of 16 KiB; nginx 16 KiB pieces instead of 4 KiB for "
        "responses, 64 KiB instead of 16 KiB for uploads and for TCP.\n\n"
    )
    return text + table(("", "peer", "µs", "Evenly ÷ it"), lines) if lines else ""


def _rates(rows: Sequence[Measured]) -> str:
    columns = (OURS, *PEERS, "direct")
    lines = [(row.title, *(words.with_noise("rate", row.values(label, "rate")) for label in columns)) for row in rows]
    text = "### Requests a second\n\nHow far the load's core gets; no measure of a proxy.\n\n" + table(
        ("", *columns), lines
    )
    bodies = [row for row in rows if any(row.values(label, "mib_per_cpu_second") for label in row.samples)]
    figure = "mib_per_cpu_second"
    lines = [
        (row.title, *(words.with_noise(figure, row.values(label, figure)) for label in columns[:-1])) for row in bodies
    ]
    return text + (
        "\nMiB that one core of the proxy moves in a second:\n\n" + table(("", *columns[:-1]), lines) if lines else ""
    )


def _routes(row: Measured) -> str:
    one, many = row.values("evenly 1 route"), row.values(OURS)
    cells = (words.with_noise(row.figure, one), words.with_noise(row.figure, many), words.ratio(many, one))
    return f"## {row.title}\n\nThe request matches the last route; CPU per request in µs.\n\n" + table(
        ("one route", "10,000 routes", "ratio"), [cells]
    )


def _latency(row: Measured) -> str:
    figures = ("p50_us", "p99_us", "p99.9_us", "cpu_us")
    lines = [
        (label, *(words.with_noise(figure, row.values(label, figure)) for figure in figures)) for label in row.samples
    ]
    text = (
        f"## {row.title}\n\nIn µs, from the moment a request was due until its last byte "
        "([steady.c](../bench/load/steady.c): open loop, Poisson arrivals, the same for all). "
        "On a machine with other work the tail is mostly that work's.\n\n"
    )
    return text + table(("", "p50", "p99", "p99.9", "CPU per request"), lines)


def _memory(row: Measured) -> str:
    figures = ("private_bytes", "proportional_bytes")
    lines = [
        (label, *(words.with_noise(figure, row.values(label, figure)) for figure in figures)) for label in row.samples
    ]
    text = (
        f"## {row.title}\n\nBytes of user memory for each, by the growth of all its processes (`smaps_rollup`); each "
        "connection has had one response. What the kernel holds for sockets is not in it.\n\n"
    )
    return text + table(("", "private", "PSS"), lines)


def _handshakes(rows: Sequence[Measured]) -> str:
    figures = ("handshake_cpu_us", "handshakes_per_cpu_second", "rate")
    lines = [
        (
            row.title,
            label,
            *(words.with_noise(figure, row.values(label, figure)) for figure in figures),
            "–" if label == OURS else words.ratio(row.values(OURS), row.values(label)),
        )
        for row in rows
        for label in row.samples
    ]
    text = (
        "## TLS handshakes\n\nOn connections that bring no request "
        "([handshakes.c](../bench/load/handshakes.c)): connect, handshake, a session ticket, close. Keys are exchanged "
        "anew in the resumed ones too. After a full handshake every proxy sends two tickets; after a resumed one "
        "Evenly sends two and OpenSSL, which is under both others, one. How many per second is how far the load's core "
        "gets; no measure of a proxy.\n\n"
    )
    head = ("", "", "CPU per handshake, µs", "per second of CPU time", "per second", "Evenly ÷ it")
    return text + table(head, lines) if lines else ""


def _datagrams(row: Measured) -> str:
    figures = ("datagram_cpu_us", "rate")
    lines = [
        (label, *(words.with_noise(figure, row.values(label, figure)) for figure in figures)) for label in row.samples
    ]
    text = (
        f"## {row.title}\n\nCPU time of the relay for each datagram, in either direction; each client keeps four on "
        "their way ([datagrams.c](../bench/load/datagrams.c)). The endpoint sends every datagram back.\n\n"
    )
    return text + table(("", "CPU per datagram", "exchanges"), lines)


def _checks(row: Measured) -> str:
    figures = ("core_percent", "checks_per_second")
    lines = [
        (label, *(words.with_noise(figure, row.values(label, figure)) for figure in figures)) for label in row.samples
    ]
    text = (
        f"## {row.title}\n\nCPU time of the whole process without traffic, in percent of one core: an HTTP check is a "
        "connection, a request and its response.\n\n"
    )
    return text + table(("", "% of a core", "checks a second"), lines)


def _instructions(rows: Sequence[Measured]) -> str:
    if not rows:
        return ""
    columns = list(dict.fromkeys(label for row in rows for label in row.samples))
    lines = [(row.title, *(words.with_noise(row.figure, row.values(label)) for label in columns)) for row in rows]
    text = (
        "## User instructions\n\nCounted by callgrind: n and 2n requests, the difference divided by n. In Evenly, "
        "threads that run Python are not counted: they take no part in requests. *bare* adds no header.\n\n"
    )
    return text + table(("", *columns), lines)


def _doubts(rows: Sequence[Measured]) -> str:
    lines = [
        f"* {row.title}: {label} had {count:.0f} failed requests; its figures are not to be trusted."
        for row in rows
        for label, count in words.failures(row).items()
    ]
    lines += [f"* {row.title}: no {label} ({reason})" for row in rows for label, reason in row.missing.items()]
    return "## Failed or missing\n\n" + "\n".join(lines) + "\n" if lines else ""
