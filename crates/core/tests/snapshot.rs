//! What a snapshot refuses, takes over from its predecessor, and reports.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use evenly_core::document::Document;
use evenly_core::listener::Service;
use evenly_core::snapshot::Snapshot;
use serde_json::{Value, json};
use std::sync::Arc;

/// The hand-written document with one value replaced; `pointer` is a JSON pointer (RFC 6901).
fn edited(edits: &[(&str, Value)]) -> Document {
    let mut document: Value =
        serde_json::from_str(include_str!("../../../tests/golden/document/complete.json")).unwrap();
    for (pointer, value) in edits {
        *document.pointer_mut(pointer).unwrap_or_else(|| panic!("nothing at {pointer}")) = value.clone();
    }
    Document::parse(&document.to_string()).unwrap()
}

fn renamed_route(name: &str) -> Value {
    let text = include_str!("../../../tests/golden/document/complete.json");
    let mut route = serde_json::from_str::<Value>(text).unwrap()["routes"][2].take();
    route["name"] = json!(name);
    route
}

fn check(method: &str, path: &str, host: &str, last: u16) -> Value {
    let statuses = json!([{"first": 200, "last": last}]);
    let probe = json!({"type": "http", "method": method, "path": path, "host": host, "expected_status": statuses, "expected_body": null,
        "reuse_connection": true});
    json!({"probe": probe, "interval_ms": 2000, "unhealthy_interval_ms": 1000, "jitter_percent": 10, "timeout_ms": 1000,
        "unhealthy_after": 3, "healthy_after": 2, "port": null})
}

/// Each case: a place, the value put there, the error's path, and a part of its message.
fn assert_refused<const N: usize>(cases: [(&str, Value, &str, &str); N]) {
    for (pointer, value, path, message) in cases {
        let error = Snapshot::build(edited(&[(pointer, value.clone())]), None).unwrap_err();
        assert_eq!(error.path, path, "{pointer} = {value}: {error}");
        assert!(error.message.contains(message), "{pointer} = {value}: {error}");
    }
}

#[test]
fn names_and_totals() {
    assert_refused([
        ("/workers", json!(0), "workers", "at least 1"),
        ("/max_connections", json!(0), "max_connections", "above 0"),
        ("/listeners/1/name", json!("web"), "listeners[1].name", "already the name of listeners[0]"),
        ("/pools/1/name", json!("app"), "pools[1].name", "already the name of pools[0]"),
        ("/routes/1/name", json!("api"), "routes[1].name", "already the name of routes[0]"),
        ("/routes/1/name", json!(""), "routes[1].name", "1 to 128 bytes"),
        ("/pools/0/name", json!("a\nb"), "pools[0].name", "control characters"),
        (
            "/staples",
            json!([{"certificate": "none", "response": "AQID", "until": 1}]),
            "staples[0].certificate",
            "none",
        ),
        ("/access_log/path", json!(""), "access_log.path", "is empty"),
        ("/access_log/ring_bytes", json!(1), "access_log.ring_bytes", "from 4096"),
        ("/error_pages/503/content_type", json!(""), "error_pages.503.content_type", "printable"),
    ]);
}

#[test]
fn listeners() {
    assert_refused([
        (
            "/listeners/1/bind/0",
            json!("127.0.0.1:8080"),
            "listeners[1].bind[0]",
            "already bound by listener 'web'",
        ),
        ("/listeners/0/bind", json!(["[::1]:80", "[::1]:80"]), "listeners[0].bind[1]", "already bound"),
        ("/listeners/1/pool", json!("dat"), "listeners[1].pool", "did you mean 'data'?"),
        ("/listeners/1/forwarded", json!(true), "listeners[1].forwarded", "tcp"),
        ("/listeners/0/max_connections", json!(0), "listeners[0].max_connections", "above 0"),
        ("/listeners/0/backlog", json!(0), "listeners[0].backlog", "above 0"),
        ("/listeners/0/limits/headers", json!(257), "listeners[0].limits.headers", "1 to 256"),
        ("/listeners/0/limits/target_bytes", json!(40_000), "listeners[0].limits.target_bytes", "1 to 32768"),
        ("/listeners/0/timeouts/idle_ms", json!(u64::MAX), "listeners[0].timeouts.idle_ms", "at most a year"),
    ]);
}

#[test]
fn pools() {
    assert_refused([
        ("/pools/0/timeouts/tunnel_idle_ms", json!(0), "pools[0].timeouts.tunnel_idle_ms", "above 0"),
        ("/pools/0/hash_key", json!({"source": "header", "name": null}), "pools[0].hash_key.name", "missing"),
        (
            "/pools/0/health_check",
            check("G T", "/", "h", 200),
            "pools[0].health_check.probe.method",
            "not a method",
        ),
        (
            "/pools/0/health_check",
            check("GET", "h", "h", 200),
            "pools[0].health_check.probe.path",
            "not a path",
        ),
        (
            "/pools/0/health_check",
            check("GET", "/", "a\r\nb", 200),
            "pools[0].health_check.probe.host",
            "not a host",
        ),
        (
            "/pools/0/health_check",
            check("GET", "/", "h", 600),
            "pools[0].health_check.probe.expected_status[0]",
            "100 to 599",
        ),
    ]);
}

#[test]
fn what_routes_match() {
    assert_refused([
        ("/routes/0/listeners", json!([]), "routes[0].listeners", "is empty"),
        ("/routes/0/listeners", json!(["db"]), "routes[0].listeners[0]", "tcp listener"),
        ("/routes/0/hosts", json!([]), "routes[0].hosts", "is empty"),
        ("/routes/0/hosts/0", json!("Shop.example.com"), "routes[0].hosts[0]", "lower case"),
        ("/routes/0/hosts/0", json!("shop.example.com:80"), "routes[0].hosts[0]", "ports"),
        ("/routes/0/methods", json!([]), "routes[0].methods", "is empty"),
        ("/routes/0/methods/0", json!("get"), "routes[0].methods[0]", "upper case"),
        ("/routes/0/methods/0", json!("G T"), "routes[0].methods[0]", "not a method's name"),
        ("/routes/0/methods/0", json!("CONNECT"), "routes[0].methods[0]", "allow_connect"),
        ("/routes/0/headers/0/name", json!("a:"), "routes[0].headers[0].name", "not a name"),
        (
            "/routes/0/headers/0/value",
            json!({"kind": "regex", "value": "("}),
            "routes[0].headers[0].value",
            "unclosed",
        ),
    ]);
}

#[test]
fn what_routes_do() {
    let rules = |set: Value| json!({"remove": [], "set": set, "add": []});
    assert_refused([
        (
            "/routes/0/rewrite",
            json!({"type": "regex", "pattern": "a", "replacement": "$1"}),
            "routes[0].rewrite.replacement",
            "no group '1'",
        ),
        (
            "/routes/2/rewrite",
            json!({"type": "prefix", "replacement": "/"}),
            "routes[2].rewrite.type",
            "prefix or an exact path",
        ),
        (
            "/routes/1/rewrite",
            json!({"type": "prefix", "replacement": "/"}),
            "routes[1].rewrite",
            "has no effect",
        ),
        (
            "/routes/1/request_headers",
            rules(json!([["a", "b"]])),
            "routes[1].request_headers",
            "has no effect",
        ),
        (
            "/routes/0/request_headers",
            rules(json!([["Host", "b"]])),
            "routes[0].request_headers.set[0]",
            "host rewrite",
        ),
        (
            "/routes/0/host_rewrite",
            json!({"type": "literal", "value": "a b"}),
            "routes[0].host_rewrite.value",
            "not a host",
        ),
        ("/routes/0/timeouts/idle_ms", json!(0), "routes[0].timeouts.idle_ms", "above 0"),
        ("/routes/1/action/location", json!("{hots}"), "routes[1].action.location", "did you mean 'host'?"),
        (
            "/routes/1/action",
            json!({"type": "respond", "status": 199, "content_type": "a/b", "body": ""}),
            "routes[1].action.status",
            "final status",
        ),
    ]);
}

#[test]
fn port_zero_and_wildcards_do_not_conflict() {
    for bind in [json!(["127.0.0.1:0", "127.0.0.1:0"]), json!(["0.0.0.0:80", "127.0.0.1:80", "[::]:80"])] {
        Snapshot::build(edited(&[("/listeners/0/bind", bind)]), None).unwrap();
    }
}

#[test]
fn literal_hosts_may_have_a_port() {
    for host in ["Origin.example.com", "origin:8080", "[::1]:80", "192.0.2.1"] {
        let rewrite = json!({"type": "literal", "value": host});
        Snapshot::build(edited(&[("/routes/0/host_rewrite", rewrite)]), None).unwrap();
    }
}

#[test]
fn a_reload_keeps_numbers_and_tells_what_changed() {
    let first = Snapshot::build(edited(&[]), None).unwrap();
    let edits = [
        ("/routes/1", renamed_route("fresh")),
        ("/routes/2/allow_upgrade", json!(false)),
        ("/pools/0/panic_threshold_percent", json!(50)),
        ("/listeners/1/name", json!("database")),
    ];
    let second = Snapshot::build(edited(&edits), Some(&first)).unwrap();
    assert_eq!(second.generation, 2);
    assert_eq!(second.routes[0].id, first.routes[0].id);
    assert_eq!(second.routes[2].id, first.routes[2].id);
    assert!(first.routes.iter().all(|route| route.id != second.routes[1].id), "a running route's number");
    let third = Snapshot::build(edited(&[]), Some(&second)).unwrap();
    assert_eq!(third.routes[1].id, first.routes[1].id, "freed numbers are used again");
    assert_eq!(third.spans().routes, 4);

    let changes = serde_json::to_value(second.changes(&first)).unwrap();
    let expected = json!({
        "generation": 2,
        "listeners": {"added": ["database"], "removed": ["db"], "changed": []},
        "pools": {"added": [], "removed": [], "changed": ["app"]},
        "routes": {"added": ["fresh"], "removed": ["old"], "changed": ["rest"]},
    });
    assert_eq!(changes, expected);
}

#[test]
fn listeners_with_the_same_routes_share_a_table() {
    let mut document = edited(&[]);
    let mut other = document.listeners[0].clone();
    (other.name, other.bind) = ("other".into(), vec!["127.0.0.1:8081".parse().unwrap()]);
    document.listeners.push(other);
    let snapshot = Snapshot::build(document.clone(), None).unwrap();
    let tables = |snapshot: &Snapshot| -> Vec<_> {
        let table = |service: &Service| match service {
            Service::Http(table) => Some(Arc::clone(table)),
            Service::Tcp(_) | Service::Udp(_) => None,
        };
        snapshot.services.iter().filter_map(table).collect()
    };
    assert!(Arc::ptr_eq(&tables(&snapshot)[0], &tables(&snapshot)[1]));
    document.routes[0].listeners = Some(vec!["other".into()]);
    let snapshot = Snapshot::build(document, Some(&snapshot)).unwrap();
    assert_eq!(tables(&snapshot).iter().map(|table| table.routes().len()).collect::<Vec<_>>(), [2, 3]);
}

/// Connections hold their listener, and are to hold nothing else of a configuration.
#[test]
fn a_listener_leads_to_no_route_and_stays_while_nothing_of_it_changes() {
    let document = edited(&[]);
    let first = Snapshot::build(document.clone(), None).unwrap();
    let (listener, other) = (Arc::clone(&first.listeners[0]), Arc::clone(&first.listeners[1]));
    let routes: Vec<_> = first.routes.iter().map(Arc::downgrade).collect();
    let mut document = document;
    document.listeners[1].max_connections += 1;
    let second = Snapshot::build(document, Some(&first)).unwrap();
    drop(first);
    assert!(routes.iter().all(|route| route.strong_count() == 0));
    assert!(Arc::ptr_eq(&second.listeners[0], &listener));
    assert!(!Arc::ptr_eq(&second.listeners[1], &other));
}

#[test]
fn oddities_are_told() {
    let edits = [
        ("/routes/0/listeners", json!(["web"])),
        ("/routes/1", renamed_route("catch-all")),
        ("/routes/0/action", json!({"type": "redirect", "location": "{uri}", "status": 302})),
        ("/routes/0/rewrite", json!(null)),
        ("/routes/0/request_headers", json!({"remove": [], "set": [], "add": []})),
        ("/routes/0/retry", json!(null)),
        ("/listeners/1/pool", json!("app")),
        ("/pools/0/balance", json!("maglev")),
        ("/pools/0/hash_key", json!({"source": "uri", "name": null})),
    ];
    let warnings = Snapshot::build(edited(&edits), None).unwrap().warnings();
    let told: Vec<(&str, &str)> = warnings.iter().map(|w| (w.path.as_str(), w.message.as_str())).collect();
    let shadow =
        "route 'rest' can never match: route 'catch-all' comes first and matches everything that it matches";
    let tcp = "pool 'app' hashes a part of HTTP requests, which connections of a tcp listener do not have";
    let expected = [
        ("listeners[1].pool", tcp),
        ("pools[1]", "pool 'data' is used by no route and no listener"),
        ("routes[2]", shadow),
        ("routes[0].action.location", "route 'api' redirects to itself, so clients go round in circles"),
    ];
    assert_eq!(told, expected);

    let warnings = Snapshot::build(edited(&[("/routes", json!([]))]), None).unwrap().warnings();
    assert_eq!(warnings[0].message, "listener 'web' has no route, so every request gets 404");
    assert!(Snapshot::build(edited(&[]), None).unwrap().warnings().is_empty());
}
