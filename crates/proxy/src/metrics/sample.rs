//! A configuration and a request for tests of metrics, status and health checks.

use super::Record;
use evenly_core::document::Document;
use evenly_core::snapshot::Snapshot;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;

/// A snapshot with an http listener "web", a tcp listener "db", routes `routes` to "app", and pools "app" and "db" with
/// these endpoints and this check.
pub(crate) fn snapshot(
    routes: &[&str],
    app: &[SocketAddr],
    health_check: &Value,
    previous: Option<&Snapshot>,
) -> Arc<Snapshot> {
    let document = json!({
        "workers": 1, "max_connections": 10, "zone": null, "affinity": {"secret": null, "previous_secret": null},
        "error_pages": {}, "access_log": null,
        "listeners": [listener("web", "http", &Value::Null), listener("db", "tcp", &json!("db"))],
        "pools": [pool("app", app, health_check), pool("db", &[], &Value::Null)],
        "routes": routes.iter().map(|name| route(name)).collect::<Vec<_>>(),
    });
    Arc::new(Snapshot::build(Document::parse(&document.to_string()).unwrap(), previous).unwrap())
}

/// A check with `probe`, every `interval_ms`, whose second result in a row counts.
pub(crate) fn health_check(probe: &Value, interval_ms: u64) -> Value {
    json!({
        "probe": probe, "interval_ms": interval_ms, "unhealthy_interval_ms": interval_ms, "jitter_percent": 10,
        "timeout_ms": 5000, "unhealthy_after": 2, "healthy_after": 2, "port": null,
    })
}

/// A request on the first listener to the first endpoint of the first pool that went well.
pub(crate) fn record(route: u32, status: u16) -> Record {
    Record {
        listener: 0,
        route,
        pool: 0,
        endpoint: 0,
        status,
        failure: None,
        bytes_in: 100,
        bytes_out: 2000,
        queue_nanos: 0,
        connect_nanos: 0,
        upstream_nanos: 2_000_000,
        total_nanos: 3_000_000,
        attempts: 1,
        affinity: evenly_core::affinity::Told::default(),
    }
}

fn listener(name: &str, protocol: &str, pool: &Value) -> Value {
    json!({
        "name": name, "bind": ["127.0.0.1:0"], "protocol": protocol, "pool": pool, "max_connections": 10,
        "backlog": 10, "trusted_proxies": [], "forwarded": false, "compression": null, "proxy_protocol": null, "tls_routes": [],
        "sessions": null, "access": {"deny": [], "max_per_client": null, "on_deny": "reset"},
        "timeouts": {"header_ms": 1, "body_ms": 1, "idle_ms": 1, "send_ms": 1, "half_close_ms": 1},
        "limits": {"head_bytes": 16384, "headers": 100, "target_bytes": 8192, "body_bytes": null, "min_rate": 0,
            "min_rate_grace_ms": 0},
    })
}

fn pool(name: &str, endpoints: &[SocketAddr], health_check: &Value) -> Value {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|address| {
            json!({"address": address, "weight": 1, "backup": false, "max_connections": null, "zone": null, "priority": 0})
        })
        .collect();
    json!({
        "name": name, "balance": "round-robin", "hash_key": null, "hash_bound_percent": null,
        "affinity": null,
        "endpoints": endpoints, "health_check": health_check, "outlier_detection": null, "circuit_breaker": null, "slow_start_ms": null,
        "panic_threshold_percent": 0, "overprovisioning_percent": 140, "fallback": null,
        "timeouts": {"connect_ms": 1, "response_ms": 1, "request_ms": null, "idle_ms": 1, "tunnel_idle_ms": 1},
        "keepalive": {"max_idle": 1, "idle_timeout_ms": 1}, "proxy_protocol": null,
        "retry": {"attempts": 2, "on_connect_failure": true, "on_reset": true, "on_timeout": false,
            "on_statuses": [], "non_idempotent": false, "body_bytes": 65536, "try_ms": null, "backoff_ms": 25,
            "max_backoff_ms": 250},
        "retry_budget": {"percent": 20, "min_per_second": 10}, "queue": null,
    })
}

fn route(name: &str) -> Value {
    let rules = json!({"remove": [], "set": [], "add": []});
    json!({
        "name": name, "listeners": null, "hosts": null, "path": {"kind": "exact", "value": format!("/{name}")},
        "methods": null, "headers": [], "cookies": [], "query": [], "action": {"type": "pool", "pool": "app"},
        "rewrite": null, "host_rewrite": {"type": "preserve"}, "request_headers": rules, "response_headers": rules,
        "timeouts": {"connect_ms": null, "response_ms": null, "request_ms": null, "idle_ms": null}, "retry": null, "priority": "normal",
        "body_bytes": null,
        "allow_connect": false, "allow_upgrade": true, "guard": null, "compression": null, "fault": null, "mirror": null,
    })
}
