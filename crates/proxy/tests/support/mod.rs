//! A dataplane for tests in Rust: a whole document with one value changed here and there, and small raw peers.

#![allow(clippy::unwrap_used, reason = "a test whose setup fails has failed")]

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// A document with one `http` listener on a port of the system's choice, one pool and one route to it.
pub fn document(endpoints: &[SocketAddr]) -> Value {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|address| {
            json!({"address": address, "weight": 1, "backup": false, "max_connections": null, "zone": null, "priority": 0})
        })
        .collect();
    json!({
        "workers": 1,
        "max_connections": 1000,
        "zone": null,
        "listeners": [{
            "name": "web", "bind": ["127.0.0.1:0"], "protocol": "http", "pool": null,
            "max_connections": 1000, "backlog": 128,
            "timeouts": {"header_ms": 10_000, "body_ms": 10_000, "idle_ms": 60_000, "send_ms": 10_000, "half_close_ms": 1000},
            "limits": {"head_bytes": 32768, "headers": 100, "target_bytes": 8192, "body_bytes": null,
                       "min_rate": 240, "min_rate_grace_ms": 5000},
            "trusted_proxies": [], "forwarded": false, "compression": null, "proxy_protocol": null, "tls_routes": [], "sessions": null,
            "access": {"deny": [], "max_per_client": null, "on_deny": "reset"}
        }],
        "pools": [{
            "name": "app", "balance": "round-robin", "hash_key": null, "hash_bound_percent": null,
            "affinity": null,
            "endpoints": endpoints, "health_check": null, "outlier_detection": null, "circuit_breaker": null, "slow_start_ms": null,
            "panic_threshold_percent": 0,
            "overprovisioning_percent": 140, "fallback": null,
            "timeouts": {"connect_ms": 5000, "response_ms": 10_000, "request_ms": null, "idle_ms": 10_000,
                         "tunnel_idle_ms": 60_000},
            "keepalive": {"max_idle": 128, "idle_timeout_ms": 30_000}, "proxy_protocol": null,
            "retry": {"attempts": 2, "on_connect_failure": true, "on_reset": true, "on_timeout": false,
            "on_statuses": [], "non_idempotent": false, "body_bytes": 65536, "try_ms": null, "backoff_ms": 25,
            "max_backoff_ms": 250},
            "retry_budget": {"percent": 20, "min_per_second": 10}, "queue": null
        }],
        "routes": [{
            "name": "all", "listeners": null, "hosts": null, "path": null, "methods": null, "headers": [],
            "cookies": [], "query": [], "action": {"type": "pool", "pool": "app"}, "rewrite": null,
            "host_rewrite": {"type": "preserve"},
            "request_headers": {"remove": [], "set": [], "add": []},
            "response_headers": {"remove": [], "set": [], "add": []},
            "timeouts": {"connect_ms": null, "response_ms": null, "request_ms": null, "idle_ms": null},
            "retry": null, "priority": "normal",
            "body_bytes": null, "allow_connect": false, "allow_upgrade": true, "guard": null, "compression": null,
            "fault": null, "mirror": null
        }],
        "affinity": {"secret": null, "previous_secret": null},
        "error_pages": {},
        "access_log": null
    })
}

/// An endpoint that answers every request head with `response`, on a thread for each connection.
pub fn endpoint(response: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream, response));
        }
    });
    address
}

fn answer(mut stream: TcpStream, response: &[u8]) {
    let mut buffer = [0; 4096];
    // One read is one request here: the client waits for each answer.
    while stream.read(&mut buffer).is_ok_and(|n| n > 0) {
        if stream.write_all(response).is_err() {
            return;
        }
    }
}

/// Where the only listener of a dataplane really listens.
pub fn address(dataplane: &evenly_proxy::Dataplane) -> SocketAddr {
    let (_, sockets) = dataplane.sockets().unwrap().pop().unwrap();
    TcpListener::from(sockets.into_iter().next().unwrap()).local_addr().unwrap()
}
