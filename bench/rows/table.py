"""The rows, in the order in which they run and are shown."""

from dataclasses import replace
from pathlib import Path

from bench.peers import DIRECT, ENVOY, EVENLY, FLOOR, HAPROXY, NGINX, NGINX_TCP, Contender
from bench.rows import Row
from bench.rows.datagrams import Datagrams
from bench.rows.handshakes import Handshakes
from bench.rows.health import Health
from bench.rows.idle import Idle
from bench.rows.instructions import Instructions
from bench.rows.rate import Rate
from bench.rows.slow_endpoint import slow_endpoints
from bench.rows.streams import Streams
from bench.rows.throughput import Throughput

HTTP = tuple(Contender(peer.name, peer) for peer in (EVENLY, HAPROXY, NGINX, ENVOY, FLOOR, DIRECT))
TCP = tuple(Contender(peer.name, peer) for peer in (EVENLY, HAPROXY, NGINX_TCP, ENVOY, FLOOR, DIRECT))

# HAProxy and Envoy relay UDP only in part, or not by default.
UDP = tuple(Contender(peer.name, peer) for peer in (EVENLY, NGINX_TCP))

# The peers' default buffers are what their users have; with larger ones the rows with large bodies come out otherwise,
# so those have both.
TUNED_HTTP = (
    Contender("haproxy tuned", HAPROXY, {"BUFSIZE": "65536"}),
    Contender(
        "nginx tuned", NGINX, {"BUFFERS": "proxy_buffer_size 16k; proxy_buffers 8 16k; client_body_buffer_size 64k;"}
    ),
)
TUNED_TCP = (
    Contender("haproxy tuned", HAPROXY, {"BUFSIZE": "65536"}),
    Contender("nginx tuned", NGINX_TCP, {"BUFSIZE": "65536"}),
)
# Without the direct one: a whole session must end within fifteen minutes.
LARGE = HTTP[:-1] + TUNED_HTTP
LARGE_TCP = TCP[:-1] + TUNED_TCP
PROXIES = HTTP[:4]

# Envoy's handshakes and its HTTP/1.1 over TLS are left out for the same reason; Evenly promises nothing about them.
TLS = PROXIES[:3]

# A request id is dear in HAProxy and nginx (5,000 and 7,000 instructions); what they cost without any added header
# shows how much of the comparison that is.
BARE = (Contender("haproxy bare", HAPROXY, {"ADD": "# "}), Contender("nginx bare", NGINX, {"ADD": "# "}))

# HTTP/2 on both sides: nginx 1.22 does not speak it to endpoints. Evenly's TCP and UDP listeners keep the pool that all
# other rows have.
MULTIPLEXED = (
    Contender(
        "evenly",
        EVENLY,
        {
            "POOLS": '[pools.multiplexed]\nendpoints = ["127.0.0.1:@MULTIPLEXED@"]\nprotocol = "h2"\n',
            "ROUTES": '[[routes]]\npool = "multiplexed"\n',
        },
    ),
    Contender("haproxy", HAPROXY, {"SERVERS": "server origin 127.0.0.1:@MULTIPLEXED@ proto h2 pool-max-conn 256"}),
    Contender(
        "envoy", ENVOY, {"ORIGIN": "@MULTIPLEXED@", "UPSTREAM": "explicit_http_config: {http2_protocol_options: {}}"}
    ),
)

# Callgrind follows one process, so nginx serves from its first one. Envoy takes minutes under valgrind.
COUNTED = tuple(
    replace(one, values={**one.values, "MASTER": "off"})
    for one in (*HTTP, *BARE)
    if one.peer in (EVENLY, HAPROXY, NGINX)
)

UPLOAD = Path(__file__).parent.parent / "load" / "upload.lua"
MIB = 2**20

ROUTES = 10_000


def routed(kind: str) -> tuple[Contender, ...]:
    """Evenly with one route and with :data:`ROUTES`; the load asks for the last one in the file."""
    pattern = {"hosts": 'host = "shop{:05}.example.com"', "prefixes": 'path = "/shop{:05}/*"'}[kind]
    many = "\n".join(f'[[routes]]\n{pattern.format(number)}\npool = "app"\n' for number in range(ROUTES))
    one = f'[[routes]]\n{pattern.format(ROUTES - 1)}\npool = "app"\n'
    return (Contender("evenly", EVENLY, {"ROUTES": many}), Contender("evenly 1 route", EVENLY, {"ROUTES": one}))


BALANCED = (
    Contender("evenly", EVENLY, {"BALANCE": 'balance = "peak-ewma"'}),
    Contender("evenly round-robin", EVENLY, {"BALANCE": 'balance = "round-robin"'}),
    Contender("haproxy leastconn", HAPROXY, {"BALANCE": "balance leastconn"}),
)

# What keeps traffic up, all of it at once: clients bound to their endpoints by a cookie, outlier detection, retries on
# every condition, zones. The load sends no cookie, so each response sets one.
RESILIENT = (
    Contender(
        "evenly",
        EVENLY,
        {
            "ENDPOINTS": """{ address = "127.0.0.1:@ORIGIN@", zone = "a" },
                { address = "127.0.0.1:@CHECKED@", zone = "b" }""",
            "BALANCE": """
                affinity = { cookie = "evenly" }
                outlier_detection = true
                retry = { attempts = 3, on = ["connect-failure", "reset", "timeout", "5xx"], try_timeout = "10s" }""",
            "POOLS": '[node]\nzone = "a"\n',
        },
    ),
    Contender("evenly plain", EVENLY),
    HTTP[1],
)

ENDPOINTS = 10_000


def checked() -> str:
    """A pool of :data:`ENDPOINTS` endpoints, one address each; the port that is checked is the origin's."""
    addresses = ", ".join(f'"127.1.{number // 250}.{number % 250 + 1}:80"' for number in range(ENDPOINTS))
    check = '{ type = "http", path = "/", interval = "5s", port = @CHECKED@ }'
    return f"[pools.checked]\nendpoints = [{addresses}]\nhealth_check = {check}\n"


def connections(count: int) -> str:
    return f"{count} connection{'s' if count > 1 else ''}"


def streams(count: int) -> str:
    return f"{count} stream{'s' if count > 1 else ''}"


ROWS: tuple[Row, ...] = (
    *(
        Throughput(f"small{count}", f"Small keep-alive requests, {connections(count)}", contenders, count)
        # What the machine costs by itself does not depend on the number; the session has no time to show it thrice.
        for count, contenders in ((1, HTTP), (64, HTTP + BARE), (256, PROXIES))
    ),
    Throughput(
        "resilient64", "Small keep-alive requests, 64 connections, with all that keeps traffic up", RESILIENT, 64
    ),
    Throughput("close", "A connection per request, 64 at a time", HTTP, connections=64, headers=("Connection: close",)),
    Throughput("download64k", "64 KiB responses, 64 connections", LARGE, 64, path="/files/64k", body=MIB // 16),
    Throughput("download1m", "1 MiB responses, 16 connections", LARGE, 16, path="/files/1m", body=MIB),
    Throughput("upload1m", "1 MiB uploads, 16 connections", LARGE, 16, path="/upload", script=UPLOAD, body=MIB),
    Throughput("https64", "HTTPS, small keep-alive requests, 64 connections", TLS, 64, over="https"),
    Throughput(
        "https1m", "HTTPS, 1 MiB responses, 16 connections", TLS + TUNED_HTTP, 16, "/files/1m", over="https", body=MIB
    ),
    *(
        Streams(f"h2-{count}", f"HTTP/2 over TLS, 16 connections, {streams(count)} each", PROXIES, 16, count)
        for count in (1, 32)
    ),
    *(
        Streams(
            f"h2-h2-{count}", f"HTTP/2 on both sides, 16 connections, {streams(count)} each", MULTIPLEXED, 16, count
        )
        for count in (1, 32)
    ),
    Throughput("tcp-small", "TCP relay, small exchanges, 64 connections", TCP, 64, over="tcp"),
    Throughput(
        "tcp-bulk", "TCP relay, 1 MiB downstream, 16 connections", LARGE_TCP, 16, "/files/1m", over="tcp", body=MIB
    ),
    Handshakes("tls-full", "TLS 1.3 handshakes, full", TLS, clients=8, resumed=False),
    Handshakes("tls-resumed", "TLS 1.3 handshakes, resumed", TLS, clients=8, resumed=True),
    Datagrams("udp-small", "UDP relay, 512-byte datagrams, 64 clients", UDP, clients=64, window=4),
    *(
        Throughput(f"routes-{kind}", title, routed(kind), 64, path, (f"Host: {host}",))
        for kind, title, path, host in (
            ("hosts", f"1 and {ROUTES:,} routes by host", "/", f"shop{ROUTES - 1:05}.example.com"),
            ("prefixes", f"1 and {ROUTES:,} routes by path prefix", f"/shop{ROUTES - 1:05}/item", "bench.example.com"),
        )
    ),
    Rate("rate", "Latency at 5,000 requests a second, 50 connections", PROXIES + HTTP[-1:], connections=50, rate=5_000),
    Rate(
        "slow-endpoint",
        "Latency while one of five endpoints is 20 times slower, 500 requests a second (Evenly: peak-ewma)",
        BALANCED,
        connections=100,
        rate=500,
        behind=slow_endpoints,
        # Balancers that learn must have learned.
        warm_up=2,
        # Or one pause of the machine, late for ten requests, would be the p99.
        longer=5,
    ),
    Health(
        "health",
        f"Checking {ENDPOINTS:,} endpoints every 5 s",
        (Contender("evenly", EVENLY, {"POOLS": checked()}),),
        ENDPOINTS,
    ),
    Idle("idle", "10,000 idle keep-alive connections", PROXIES, connections=10_000),
    *(
        Instructions(f"instructions{count}", f"User instructions per request, {connections(count)}", counted, count)
        # The added header costs the same with each number; see above.
        for count, counted in ((1, COUNTED), (16, COUNTED[:3]))
    ),
)


def chosen(names: list[str]) -> list[Row]:
    """The rows of that name or else all that begin with it, for each name; raise ``ValueError`` where there is none."""
    found: list[Row] = []
    for name in names:
        matches = [row for row in ROWS if row.name == name] or [row for row in ROWS if row.name.startswith(name)]
        if not matches:
            raise ValueError(f"no row {name!r}; rows are {', '.join(row.name for row in ROWS)}")
        found += [row for row in matches if row not in found]
    return [row for row in ROWS if row in found]
