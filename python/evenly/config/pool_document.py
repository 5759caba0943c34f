"""The parts of the document that say what a pool is; see `document.py`."""

from typing import Any

from .at import At, ms
from .resolve import ResolvedEndpoint
from .schema import (
    Affinity,
    AffinityCookie,
    DnsCheck,
    DnsDiscovery,
    EndpointCircuitOptions,
    GrpcCheck,
    HealthCheck,
    OutlierOptions,
    Pool,
    PoolHttp2,
    Retry,
    SrvDiscovery,
    StatusRange,
    TcpCheck,
    Thresholds,
    UdpCheck,
)  # fmt: skip
from .schema.retry import CALLS


def pool(name: str, pool: Pool, endpoints: list[ResolvedEndpoint], authorities: str | None) -> dict[str, Any]:
    """A pool with all that its requests go by; `authorities` is what its `ca` holds."""
    factor = pool.hash_balance_factor
    check = pool.health_check
    return {
        "name": At((), name),
        "balance": pool.balance,
        "hash_key": pool.hash_key and {"source": pool.hash_key.source, "name": pool.hash_key.name},
        "hash_bound_percent": At(("hash_balance_factor",), None if factor is None else round(factor * 100)),
        "affinity": pool.affinity and _affinity(pool.affinity),
        "endpoints": [At((endpoint.index,), _endpoint(pool, endpoint)) for endpoint in endpoints],
        "health_check": check and _health_check(check, reuses=_keeps_connections(pool, check)),
        "outlier_detection": pool.outlier_detection and _outlier_detection(pool.outlier_detection),
        "circuit_breaker": pool.circuit_breaker
        and _thresholds(pool.circuit_breaker) | {"max_requests": pool.circuit_breaker.max_requests},
        "endpoint_circuit_breaker": pool.endpoint_circuit_breaker and _endpoint_circuit(pool.endpoint_circuit_breaker),
        "adaptive_concurrency": pool.adaptive_concurrency
        and {
            "min_limit": pool.adaptive_concurrency.min_limit,
            "max_limit": pool.adaptive_concurrency.max_limit,
            "tolerance_percent": At(("tolerance",), round(pool.adaptive_concurrency.tolerance * 100)),
        },
        "slow_start_ms": ms("slow_start", pool.slow_start),
        "panic_threshold_percent": At(("panic_threshold",), pool.panic_threshold.percent),
        "overprovisioning_percent": At(("overprovisioning",), round(pool.overprovisioning * 100)),
        "fallback": pool.fallback,
        "timeouts": {
            "connect_ms": ms("connect", pool.timeouts.connect),
            "response_ms": ms("response", pool.timeouts.response),
            "request_ms": ms("request", pool.timeouts.request),
            "idle_ms": ms("idle", pool.timeouts.idle),
            "tunnel_idle_ms": ms("tunnel_idle", pool.timeouts.tunnel_idle),
        },
        "keepalive": {
            "max_idle": pool.keepalive.max_idle,
            "idle_timeout_ms": ms("idle_timeout", pool.keepalive.idle_timeout),
        },
        "retry": retries(pool.retry),
        "retry_budget": {
            "percent": At(("share",), pool.retry_budget.share.percent),
            "min_per_second": pool.retry_budget.min_per_second,
        },
        "hedge": pool.hedge
        and {
            "permille": At(("percentile",), round(pool.hedge.percentile * 10)),
            "min_delay_ms": ms("min_delay", pool.hedge.min_delay),
        },
        "proxy_protocol": pool.proxy_protocol,
        "source_address": pool.source_address,
        "tls": pool.tls
        and {
            "verify": pool.tls.verify,
            "ca": authorities,
            "client_certificate": pool.tls.client_certificate,
            "min_version": pool.tls.min_version,
        },
        "http2": pool.http2 and _http2(pool.http2, negotiated=pool.protocol == "auto"),
        "queue": pool.queue and {"size": pool.queue.size, "timeout_ms": ms("timeout", pool.queue.timeout)},
    }


def _http2(http2: PoolHttp2, *, negotiated: bool) -> dict[str, Any]:
    return {
        "max_streams": http2.max_streams,
        "max_connections": http2.max_connections,
        "ping_after_ms": ms("ping_after", http2.ping_after),
        "negotiated": negotiated,
    }


def retries(retry: Retry) -> dict[str, Any]:
    """A retry policy; routes have one too."""
    return {
        "attempts": retry.attempts,
        "on_connect_failure": At(("on",), "connect-failure" in retry.on),
        "on_reset": At(("on",), "reset" in retry.on),
        "on_timeout": At(("on",), "timeout" in retry.on),
        "on_statuses": At(
            ("on",),
            [
                At((index,), {"first": condition.first, "last": condition.last})
                for index, condition in enumerate(retry.on)
                if isinstance(condition, StatusRange)
            ],
        ),
        "on_grpc_statuses": At(("on",), sorted(CALLS[str(each)] for each in retry.on if each in CALLS)),
        "non_idempotent": retry.non_idempotent,
        "body_bytes": At(("body",), retry.body.bytes),
        "try_ms": ms("try_timeout", retry.try_timeout),
        "backoff_ms": ms("backoff", retry.backoff),
        "max_backoff_ms": ms("max_backoff", retry.max_backoff),
    }


def _endpoint(pool: Pool, resolved: ResolvedEndpoint) -> dict[str, Any]:
    endpoint = resolved.options
    return {
        "address": resolved.address,
        "server_name": At(("sni",), _server_name(pool, resolved)),
        "weight": endpoint.weight,
        "backup": endpoint.backup,
        "max_connections": endpoint.max_connections,
        "zone": endpoint.zone,
        "priority": endpoint.priority,
    }


def _server_name(pool: Pool, resolved: ResolvedEndpoint) -> str | None:
    """What an endpoint is asked for, if that is a name: its own, the pool's, or the name that led to it."""
    if pool.tls is None:
        return None
    own, address = resolved.options.sni, resolved.options.address
    if resolved.index < len(pool.endpoints):
        return own or pool.tls.sni or (address.host.rstrip(".") if address.is_name else None)
    if isinstance(pool.discovery, DnsDiscovery):
        return pool.tls.sni or pool.discovery.name.rstrip(".")
    # What a record names is no choice of the user's, as what a listing says is.
    return pool.tls.sni or own if isinstance(pool.discovery, SrvDiscovery) else own or pool.tls.sni


def _affinity(affinity: Affinity) -> dict[str, Any]:
    if affinity.cookie is not None:
        return {"type": At((), "cookie"), "cookie": affinity_cookie(affinity.cookie)}
    table = {"max_entries": affinity.max_entries, "ttl_ms": ms("ttl", affinity.ttl)}
    if affinity.source_ip is not None:
        bits = {
            "v4_bits": At(("source_ip",), affinity.source_ip.v4),
            "v6_bits": At(("source_ip",), affinity.source_ip.v6),
        }
        return {"type": At((), "source_ip"), **bits, "table": At((), table)}
    if affinity.sni is not None:
        return {"type": At(("sni",), "sni"), "table": At((), table)}
    kind = next(kind for kind in ("learn", "header", "query") if getattr(affinity, kind) is not None)
    return {"type": At((), kind), "name": At((kind,), getattr(affinity, kind)), "table": At((), table)}


def affinity_cookie(cookie: AffinityCookie) -> dict[str, Any]:
    """What is bound by a cookie of Evenly's own; splits have one too."""
    return {
        "name": cookie.name,
        "path": cookie.path,
        "same_site": cookie.same_site,
        "http_only": cookie.http_only,
        "secure": None if cookie.secure == "auto" else cookie.secure,
        "ttl_ms": ms("ttl", cookie.ttl),
    }


def _outlier_detection(outlier: OutlierOptions) -> dict[str, Any]:
    plain = (
        "consecutive_5xx",
        "consecutive_gateway_failure",
        "consecutive_local_origin_failure",
        "success_rate_minimum_hosts",
        "success_rate_request_volume",
    )
    times = ("interval", "latency_minimum", "base_ejection_time", "max_ejection_time", "probation")
    factors = ("success_rate_stdev_factor", "latency_factor")
    return (
        {name: getattr(outlier, name) for name in plain}
        | {f"{name}_ms": ms(name, getattr(outlier, name)) for name in times}
        | {f"{name}_percent": At((name,), round(getattr(outlier, name) * 100)) for name in factors}
        | {"max_ejection_percent": outlier.max_ejection_percent.percent}
    )


def _thresholds(circuit: Thresholds) -> dict[str, Any]:
    return {
        "failure_rate_percent": At(("failure_rate",), circuit.failure_rate.percent),
        "window_ms": ms("window", circuit.window),
        "minimum_requests": circuit.minimum_requests,
        "base_open_time_ms": ms("base_open_time", circuit.base_open_time),
        "max_open_time_ms": ms("max_open_time", circuit.max_open_time),
        "half_open_requests": circuit.half_open_requests,
    }


def _endpoint_circuit(circuit: EndpointCircuitOptions) -> dict[str, Any]:
    return _thresholds(circuit) | {
        "max_requests": circuit.max_requests,
        "max_pending": circuit.max_pending,
        "max_open_percent": At(("max_open",), circuit.max_open.percent),
    }


def _keeps_connections(pool: Pool, check: HealthCheck) -> bool:
    """Whether a check's connection is worth keeping: an endpoint that is to have no idle connections gets none from its
    checks either, and one that is a minute old serves no further check."""
    return pool.keepalive.max_idle > 0 and check.interval.milliseconds < 60_000


def _health_check(check: HealthCheck, *, reuses: bool) -> dict[str, Any]:
    return {
        "probe": At((), _probe(check, reuses=reuses)),
        "interval_ms": ms("interval", check.interval),
        "unhealthy_interval_ms": ms("unhealthy_interval", check.unhealthy_interval),
        "jitter_percent": At(("jitter",), check.jitter.percent),
        "timeout_ms": ms("timeout", check.timeout),
        "unhealthy_after": check.unhealthy_after,
        "healthy_after": check.healthy_after,
        "port": check.port,
    }


def _probe(check: HealthCheck, *, reuses: bool) -> dict[str, Any]:
    if isinstance(check, GrpcCheck):
        return {"type": "grpc", "service": check.service}
    if isinstance(check, UdpCheck):
        return {"type": "udp", "send": check.send, "expect": check.expect}
    if isinstance(check, DnsCheck):
        return {
            "type": "dns",
            "name": check.name,
            "record": At(("record",), check.record_number),
            "expected_rcode": At(("expected_rcode",), check.rcode_numbers),
        }
    if isinstance(check, TcpCheck):
        return {"type": "tcp", "send": check.send, "expect": check.expect}
    return {
        "type": "http",
        "method": check.method,
        "path": check.path,
        "host": check.host,
        "expected_status": [{"first": statuses.first, "last": statuses.last} for statuses in check.expected_status],
        "expected_body": check.expected_body,
        "reuse_connection": At(("reuse_connection",), check.reuse_connection and reuses),
    }
