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
    // The smallest configuration's document, so that options to come need no mention here.
    let mut document: Value =
        serde_json::from_str(include_str!("../../../../tests/golden/config/01-minimal.json")).unwrap();
    document["listeners"] = json!([
        with(&document["listeners"][0], &json!({"bind": ["127.0.0.1:0"], "max_connections": 10})),
        with(
            &document["listeners"][0],
            &json!({"name": "db", "bind": ["127.0.0.1:0"], "protocol": "tcp", "pool": "db", "max_connections": 10}),
        ),
    ]);
    let endpoint = |address| with(&document["pools"][0]["endpoints"][0], &json!({"address": address}));
    let endpoints: Vec<Value> = app.iter().map(endpoint).collect();
    document["pools"] = json!([
        with(&document["pools"][0], &json!({"endpoints": endpoints, "health_check": health_check})),
        with(&document["pools"][0], &json!({"name": "db", "endpoints": []})),
    ]);
    let path = |name| json!({"kind": "exact", "value": format!("/{name}")});
    let route = |name| with(&document["routes"][0], &json!({"name": name, "path": path(name)}));
    document["routes"] = routes.iter().map(route).collect();
    document["max_connections"] = 10.into();
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
        grpc_status: None,
    }
}

fn with(sample: &Value, changes: &Value) -> Value {
    let mut changed = sample.clone();
    for (field, value) in changes.as_object().into_iter().flatten() {
        changed[field] = value.clone();
    }
    changed
}
