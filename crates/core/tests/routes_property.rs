//! The table finds what trying every route in order finds, for random routes and requests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod routes_support;

use evenly_core::document::{FieldMatch, PathMatch, Route, ValueMatch};
use evenly_core::route::Request;
use proptest::prelude::*;
use regex::Regex;
use routes_support::{List, field, route, table};

/// Few words, so that routes overlap and requests match.
const HOSTS: [&str; 6] = ["a.test", "*.a.test", "b.a.test", "*.test", "test", "[::1]"];
const REQUEST_HOSTS: [&str; 8] =
    ["a.test", "B.a.test:80", "c.b.a.test.", "test", "[::1]:8080", "x", ".test", ""];
const PATHS: [&str; 8] = ["/", "/a", "/a/", "/a/b", "/ab", "/b/c/d", "/a%2Fb", "/é"];
const PATTERNS: [&str; 6] = ["/a.*", "/[ab]+", "/a/(b|c)", "/a|/b", "(?i)/A", "/a/?"];

fn some<T: Clone + std::fmt::Debug + 'static>(words: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(words)
}

fn path() -> impl Strategy<Value = Option<PathMatch>> {
    prop_oneof![
        Just(None),
        some(&PATHS).prop_map(|path| Some(PathMatch::Exact(path.into()))),
        some(&PATHS).prop_map(|path| Some(PathMatch::Prefix(path.into()))),
        some(&PATTERNS).prop_map(|pattern| Some(PathMatch::Regex(pattern.into()))),
    ]
}

fn value() -> impl Strategy<Value = ValueMatch> {
    prop_oneof![
        1 => Just(ValueMatch::Present),
        1 => Just(ValueMatch::Absent),
        4 => some(&["1", "2", "3"]).prop_map(|value| ValueMatch::Exact(value.into())),
        1 => Just(ValueMatch::Regex("[12]".into())),
    ]
}

fn fields(names: &'static [&'static str]) -> impl Strategy<Value = Vec<FieldMatch>> {
    prop_oneof![
        3 => Just(Vec::new()),
        2 => prop::collection::vec((some(names), value()).prop_map(|(name, value)| field(name, value)), 1..3),
    ]
}

fn any_route() -> impl Strategy<Value = Route> {
    let hosts = prop::option::of(prop::collection::vec(some(&HOSTS).prop_map(String::from), 1..3));
    let methods = prop::option::weighted(
        0.2,
        prop::collection::vec(some(&["GET", "PUT"]).prop_map(String::from), 1..2),
    );
    (hosts, path(), methods, fields(&["X-A", "x-b"]), fields(&["c"]), fields(&["q"])).prop_map(
        |(hosts, path, methods, headers, cookies, query)| Route {
            hosts,
            path,
            methods,
            headers,
            cookies,
            query,
            ..route("r")
        },
    )
}

#[derive(Debug, Clone)]
struct Asked {
    method: &'static str,
    host: &'static str,
    path: &'static str,
    query: Option<&'static str>,
    fields: List,
}

fn any_request() -> impl Strategy<Value = Asked> {
    let header = (some(&["x-a", "X-B", "Cookie"]), some(&["1", "2", "c=1", "c=3; c=2"]));
    let fields = prop::collection::vec(header.prop_map(|(n, v)| (n.to_string(), v.to_string())), 0..4);
    let query = some(&[None, Some("q=1"), Some("q=3&q=2"), Some("p")]);
    (some(&["GET", "PUT", "get"]), some(&REQUEST_HOSTS), some(&PATHS), query, fields).prop_map(
        |(method, host, path, query, fields)| Asked { method, host, path, query, fields: List(fields) },
    )
}

/// The meaning of a route, written down a second time and as plainly as possible.
fn matches(route: &Route, asked: &Asked) -> bool {
    let host =
        asked.host.trim_end_matches(":80").trim_end_matches(":8080").trim_end_matches('.').to_lowercase();
    let host_fits = |pattern: &String| match pattern.strip_prefix('*') {
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => host == *pattern,
    };
    let path_fits = match &route.path {
        None => true,
        Some(PathMatch::Exact(path)) => asked.path == path,
        Some(PathMatch::Prefix(prefix)) => asked.path.starts_with(prefix),
        Some(PathMatch::Regex(pattern)) => whole(pattern, asked.path),
    };
    let headers = |name: &str| -> Vec<String> {
        asked
            .fields
            .0
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.clone())
            .collect()
    };
    let pairs = |text: &str, separator: &str, name: &str| -> Vec<String> {
        let pairs = text.split(separator).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.filter(|(own, _)| *own == name).map(|(_, value)| value.to_string()).collect()
    };
    let cookies =
        |name: &str| headers("cookie").iter().flat_map(|text| pairs(text, "; ", name)).collect::<Vec<_>>();
    route.hosts.as_ref().is_none_or(|hosts| hosts.iter().any(host_fits))
        && path_fits
        && route.methods.as_ref().is_none_or(|methods| methods.iter().any(|method| method == asked.method))
        && route.headers.iter().all(|f| holds(&f.value, &headers(&f.name)))
        && route.cookies.iter().all(|f| holds(&f.value, &cookies(&f.name)))
        && route.query.iter().all(|f| holds(&f.value, &pairs(asked.query.unwrap_or(""), "&", &f.name)))
}

fn holds(value: &ValueMatch, found: &[String]) -> bool {
    match value {
        ValueMatch::Present => !found.is_empty(),
        ValueMatch::Absent => found.is_empty(),
        ValueMatch::Exact(text) => found.contains(text),
        ValueMatch::Regex(pattern) => found.iter().any(|value| whole(pattern, value)),
    }
}

fn whole(pattern: &str, text: &str) -> bool {
    Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(text)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_table_finds_the_first_route_that_matches(
        routes in prop::collection::vec(any_route(), 0..120),
        requests in prop::collection::vec(any_request(), 1..12),
    ) {
        let routes: Vec<Route> =
            routes.into_iter().enumerate().map(|(i, route)| Route { name: i.to_string(), ..route }).collect();
        let table = table(&routes);
        for asked in &requests {
            let Asked { method, host, path, query, fields } = asked;
            let request = Request { method, host, path, query: *query, fields, tls: None, connect: false };
            let expected = routes.iter().find(|route| matches(route, asked)).map(|route| route.name.as_str());
            prop_assert_eq!(table.find(&request).map(|route| &*route.name), expected, "{:?}", asked);
            let tried = table.routes().iter().find(|route| route.matches(&request));
            prop_assert_eq!(tried.map(|route| &*route.name), expected);
        }
    }
}
