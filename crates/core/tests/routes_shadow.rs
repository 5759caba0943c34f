//! Routes that can never match are found, others are left in peace, and 10,000 routes do not take a square of time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod routes_support;

use evenly_core::document::{PathMatch, Route, ValueMatch};
use evenly_core::route::Request;
use evenly_core::route::shadow::shadowed;
use proptest::prelude::*;
use routes_support::{List, document, exact, field, hosts, prefix, regex, route, table};

/// Whether the second of two routes is reported.
fn is_shadowed(earlier: Route, later: Route) -> bool {
    let warnings = shadowed(&document(vec![Route { name: "first".into(), ..earlier }, later]));
    if let [warning] = warnings.as_slice() {
        assert_eq!(warning.path, "routes[1]");
        assert!(warning.message.contains("'first' comes first"), "{}", warning.message);
    }
    !warnings.is_empty()
}

#[test]
fn what_includes_what() {
    let with = |name: &str, value: ValueMatch| Route { headers: vec![field(name, value)], ..route("r") };
    let exact_value = || ValueMatch::Exact("1".into());
    let methods = |methods: &[&str]| Route { methods: hosts(methods), ..route("r") };
    let host = |names: &[&str]| Route { hosts: hosts(names), ..route("r") };
    let path = |path: Option<PathMatch>| Route { path, ..route("r") };
    let cases = [
        (route("r"), route("r"), true),
        (route("r"), host(&["a.test"]), true),
        (host(&["a.test"]), route("r"), false),
        (host(&["*.test"]), host(&["a.test", "*.b.test"]), true),
        (host(&["*.test"]), host(&["a.test", "test"]), false),
        (host(&["a.test", "b.test"]), host(&["b.test"]), true),
        (path(prefix("/a")), path(exact("/a")), true),
        (path(prefix("/a")), path(prefix("/ab")), true),
        (path(prefix("/ab")), path(prefix("/a")), false),
        (path(prefix("/a/")), path(regex("/a/[0-9]+")), true),
        (path(regex("/a.*")), path(regex("/a.*")), true),
        (path(regex("/a.*")), path(exact("/a")), false),
        (path(exact("/a")), path(None), false),
        (methods(&["GET", "PUT"]), methods(&["PUT"]), true),
        (methods(&["GET"]), route("r"), false),
        (with("X-A", ValueMatch::Present), with("x-a", exact_value()), true),
        (with("X-A", exact_value()), with("x-a", exact_value()), true),
        (with("X-A", exact_value()), with("x-a", ValueMatch::Present), false),
        (with("X-A", ValueMatch::Absent), with("x-a", ValueMatch::Absent), true),
        (with("X-A", ValueMatch::Present), with("x-a", ValueMatch::Absent), false),
        (route("r"), Route { allow_connect: true, ..route("r") }, false),
        (
            Route { listeners: hosts(&["web"]), ..route("r") },
            Route { listeners: hosts(&["web"]), ..route("r") },
            true,
        ),
        (Route { listeners: hosts(&["web"]), ..route("r") }, route("r"), true),
        (Route { listeners: hosts(&["other"]), ..route("r") }, route("r"), false),
    ];
    for (i, (earlier, later, expected)) in cases.into_iter().enumerate() {
        let mut document = document(vec![earlier.clone(), later.clone()]);
        document.listeners.retain(|listener| listener.name == "web");
        assert_eq!(!shadowed(&document).is_empty(), expected, "case {i}: {earlier:?} {later:?}");
    }
    assert!(is_shadowed(
        route("r"),
        exact("/a").map_or_else(|| route("r"), |path| Route { path: Some(path), ..route("r") })
    ));
}

#[test]
fn ten_thousand_routes_are_compared_by_index() {
    let routes = (0..10_000).map(|i| match i % 4 {
        0 => {
            Route { hosts: hosts(&[&format!("h{i}.test")]), path: prefix("/api/"), ..route(&format!("r{i}")) }
        }
        1 => Route { path: prefix(&format!("/{i}/")), ..route(&format!("r{i}")) },
        2 => Route {
            headers: vec![field("X-Tenant", ValueMatch::Exact(i.to_string()))],
            ..route(&format!("r{i}"))
        },
        _ => Route { path: prefix(&format!("/{}/below", i - 2)), ..route(&format!("r{i}")) },
    });
    let warnings = shadowed(&document(routes.collect()));
    assert_eq!(warnings.len(), 2_500);
    assert!(warnings[0].message.contains("route 'r3' can never match: route 'r1' comes first"));
}

proptest! {
    #[test]
    fn a_reported_route_is_never_found(picks in prop::collection::vec((0..4_usize, 0..6_usize, 0..3_usize), 1..12)) {
        const HOSTS: [Option<&str>; 4] = [None, Some("a.test"), Some("*.test"), Some("*.a.test")];
        let paths = [None, exact("/a"), exact("/a/b"), prefix("/a"), prefix("/a/"), regex("/a/[bc]")];
        let values = [None, Some(ValueMatch::Present), Some(ValueMatch::Exact("1".into()))];
        let routes: Vec<Route> = picks.iter().enumerate().map(|(i, (host, path, value))| Route {
            hosts: HOSTS[*host].map(|host| vec![host.to_string()]),
            path: paths[*path].clone(),
            headers: values[*value].iter().map(|value| field("x", value.clone())).collect(),
            ..route(&i.to_string())
        }).collect();
        let reported: Vec<String> = shadowed(&document(routes.clone())).into_iter().map(|w| w.path).collect();
        let table = table(&routes);
        for host in ["a.test", "b.test", "b.a.test", "x"] {
            for path in ["/", "/a", "/a/", "/a/b", "/ab", "/a/c"] {
                for value in ["1", "2", ""] {
                    let header = ("x".to_string(), value.to_string());
                    let fields = List(if value.is_empty() { Vec::new() } else { vec![header] });
                    let request = Request { method: "GET", host, path, query: None, fields: &fields, tls: None, connect: false };
                    if let Some(found) = table.find(&request) {
                        let is_reported = reported.contains(&format!("routes[{}]", found.name));
                        prop_assert!(!is_reported, "{} takes {}{}", found.name, host, path);
                    }
                }
            }
        }
    }
}
