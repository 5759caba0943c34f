//! Which route a request takes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod routes_support;

use evenly_core::document::{Action, Route, ValueMatch};
use evenly_core::route::{Request, RouteTable};
use routes_support::{List, exact, field, get, hosts, prefix, regex, route, table};

fn name<'a>(table: &'a RouteTable, request: &Request<'_>) -> &'a str {
    table.find(request).map_or("", |route| &route.name)
}

#[test]
fn the_first_match_in_file_order_wins_however_specific() {
    let routes = [
        Route { path: prefix("/a/"), ..route("prefix") },
        Route { path: exact("/a/b"), hosts: hosts(&["x.test"]), ..route("never") },
        Route { path: exact("/b"), ..route("exact") },
        Route { hosts: hosts(&["*.test"]), ..route("wildcard") },
        Route { hosts: hosts(&["x.test"]), ..route("host") },
        route("rest"),
    ];
    let table = table(&routes);
    let fields = List::default();
    for (host, path, expected) in [
        ("x.test", "/a/b", "prefix"),
        ("x.test", "/b", "exact"),
        ("x.test", "/a", "wildcard"),
        ("X.TEST.:8080", "/c", "wildcard"),
        ("test", "/", "rest"),
        ("other", "*", "rest"),
        ("", "/a/", "prefix"),
    ] {
        assert_eq!(name(&table, &get(host, path, &fields)), expected, "{host}{path}");
    }
}

#[test]
fn an_empty_table_has_no_route() {
    assert!(table(&[]).find(&get("a", "/", &List::default())).is_none());
    assert!(RouteTable::default().find(&get("a", "/", &List::default())).is_none());
}

#[test]
fn all_conditions_must_hold() {
    let routes = [
        Route { methods: Some(vec!["POST".into()]), ..route("method") },
        Route {
            headers: vec![field("X-A", ValueMatch::Exact("1".into())), field("X-B", ValueMatch::Absent)],
            ..route("headers")
        },
        Route { cookies: vec![field("c", ValueMatch::Regex("[a-c]+".into()))], ..route("cookie") },
        Route { query: vec![field("q", ValueMatch::Present)], ..route("query") },
    ];
    let table = table(&routes);
    let fields =
        |pairs: &[(&str, &str)]| List(pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect());
    let both = fields(&[("x-a", "0"), ("x-a", "1"), ("x-b", "")]);
    let header = fields(&[("x-a", "0"), ("x-a", "1")]);
    let cookie = fields(&[("Cookie", "b=1; c=abc")]);
    let wrong = fields(&[("Cookie", "c=abcd")]);
    assert_eq!(name(&table, &Request { method: "POST", ..get("h", "/", &both) }), "method");
    assert_eq!(name(&table, &Request { method: "post", ..get("h", "/", &header) }), "headers");
    assert_eq!(name(&table, &get("h", "/", &both)), "");
    assert_eq!(name(&table, &get("h", "/", &cookie)), "cookie");
    assert_eq!(name(&table, &get("h", "/", &wrong)), "");
    assert_eq!(name(&table, &Request { query: Some("p=1&q"), ..get("h", "/", &wrong) }), "query");
}

#[test]
fn connect_needs_permission() {
    let to_pool = |name| Route { action: Action::Pool { pool: "app".into() }, ..route(name) };
    let routes = [
        route("plain"),
        Route { allow_connect: true, methods: Some(vec!["GET".into()]), ..to_pool("other method") },
        Route { allow_connect: true, path: prefix("/"), ..to_pool("with a path") },
        Route { allow_connect: true, hosts: hosts(&["db.test"]), ..to_pool("tunnel") },
    ];
    let table = table(&routes);
    let fields = List::default();
    let connect = |host| Request {
        method: "CONNECT",
        host,
        path: "",
        query: None,
        fields: &fields,
        tls: None,
        connect: true,
    };
    assert_eq!(name(&table, &connect("db.test:5432")), "tunnel");
    assert_eq!(name(&table, &connect("web.test:443")), "");
}

#[test]
fn many_expressions_of_one_beginning_keep_their_order() {
    let routes: Vec<Route> = (0..100)
        .map(|i| Route { path: regex(&format!("/v[0-9]+/{}", i % 50)), ..route(&format!("r{i}")) })
        .collect();
    let table = table(&routes);
    for i in 0..50 {
        let path = format!("/v{i}/{i}");
        assert_eq!(name(&table, &get("h", &path, &List::default())), format!("r{i}"));
    }
    assert_eq!(name(&table, &get("h", "/v1/50", &List::default())), "");
}

#[test]
fn ten_thousand_tenants_by_header() {
    let tenant = |i: u32| Route {
        headers: vec![field("X-Tenant", ValueMatch::Exact(format!("t{i}")))],
        ..route(&format!("r{i}"))
    };
    let table = table(&(0..10_000).map(tenant).collect::<Vec<_>>());
    let fields = List(vec![("x-tenant".into(), "t9999".into()), ("X-TENANT".into(), "t77".into())]);
    assert_eq!(
        name(&table, &get("h", "/", &fields)),
        "r77",
        "the earlier route, though its value comes second"
    );
    assert_eq!(name(&table, &get("h", "/", &List::default())), "");
}
