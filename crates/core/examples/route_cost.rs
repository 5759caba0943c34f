//! What finding a route costs, in user instructions: run under callgrind for one route and for 10,000.
//!
//! ```text
//! cargo build --release -p evenly-core --example route_cost
//! for routes in 1 10000; do for finds in 0 100000; do
//!   valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/route_cost prefix $routes $finds
//! done; done
//! ```
//! The difference between the two counts of finds, divided by their difference, is the cost of one. Kinds of table:
//! `host` (a host each), `exact` and `prefix` (a path each), `mixed`, `header` (a header's value each), `regex`
//! (an expression each, with different beginnings), `same-regex` (expressions that all begin alike).

use evenly_core::document::{Document, FieldMatch, PathMatch, Route, ValueMatch};
use evenly_core::route::{Fields, PoolIndex, Request, RouteId, RouteTable};
use std::hint::black_box;
use std::sync::Arc;

/// The fields of an ordinary request, and a header that routes of the kind `header` ask for.
const FIELDS: [(&str, &str); 5] = [
    ("Host", "h7.example.com"),
    ("User-Agent", "bench"),
    ("Accept", "*/*"),
    ("X-Tenant", "t7"),
    ("Cookie", "a=b"),
];

struct Ordinary;

impl Fields for Ordinary {
    fn first(&self, name: &str) -> Option<&[u8]> {
        FIELDS.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_bytes())
    }

    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        FIELDS.iter().any(|(own, value)| own.eq_ignore_ascii_case(name) && test(value.as_bytes()))
    }
}

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, routes, finds] = arguments.as_slice() else {
        return Err("usage: route_cost KIND ROUTES FINDS".into());
    };
    let number = |text: &String| text.parse::<u32>().map_err(|e| format!("{text}: {e}"));
    let table = table(kind, number(routes)?)?;
    // Of the routes of a table, the one that this request takes is the eighth or the only one.
    let request = Request {
        method: "GET",
        host: "h7.example.com:8080",
        path: if kind.ends_with("regex") { "/v7/items/42" } else { "/p7/items/42" },
        query: None,
        fields: &Ordinary,
        tls: None,
        connect: false,
    };
    if table.find(&request).is_none() {
        return Err("the request takes no route".into());
    }
    for _ in 0..number(finds)? {
        black_box(table.find(black_box(&request)));
    }
    Ok(())
}

fn table(kind: &str, routes: u32) -> Result<RouteTable, String> {
    let text = include_str!("../../../tests/golden/document/complete.json");
    let plain = Document::parse(text).map_err(|e| e.to_string())?.routes.pop().ok_or("no routes")?;
    let pools = [("app", PoolIndex(0))].into_iter().collect();
    let first = if routes == 1 { 7 } else { 0 };
    let build = |i: u32| {
        let route = route(kind, &plain, i + first)?;
        let route =
            evenly_core::route::Route::build(&route, RouteId(i), &pools).map_err(|e| e.to_string())?;
        Ok(Arc::new(route))
    };
    let routes: Result<Vec<_>, String> = (0..routes).map(build).collect();
    Ok(RouteTable::build(&routes?))
}

fn route(kind: &str, plain: &Route, i: u32) -> Result<Route, String> {
    let mut route = Route { name: format!("r{i}"), ..plain.clone() };
    let host = || Some(vec![format!("h{i}.example.com")]);
    match kind {
        "host" => route.hosts = host(),
        "exact" if i == 7 => route.path = Some(PathMatch::Exact("/p7/items/42".into())),
        "exact" => route.path = Some(PathMatch::Exact(format!("/p{i}/items"))),
        "prefix" => route.path = Some(PathMatch::Prefix(format!("/p{i}/"))),
        "mixed" => (route.hosts, route.path) = (host(), Some(PathMatch::Prefix(format!("/p{i}/")))),
        "header" => {
            let value = ValueMatch::Exact(format!("t{i}"));
            route.headers = vec![FieldMatch { name: "X-Tenant".into(), value }];
        }
        "regex" => route.path = Some(PathMatch::Regex(format!("/v{i}/[a-z]+/[0-9]+"))),
        "same-regex" => route.path = Some(PathMatch::Regex(format!("/[a-z]{i}/[a-z]+/[0-9]+"))),
        other => return Err(format!("unknown kind '{other}'")),
    }
    Ok(route)
}
