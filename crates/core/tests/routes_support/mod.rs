//! Documents and requests for tests of routes.
#![allow(dead_code, reason = "each test binary uses a part")]

use evenly_core::document::{
    Action, Document, FieldMatch, FieldRules, HostRewrite, PathMatch, Route, RouteTimeouts, ValueMatch,
};
use evenly_core::route::{Fields, Request, RouteId, RouteTable};
use std::sync::Arc;

/// A route that matches everything and answers 200.
pub fn route(name: &str) -> Route {
    Route {
        name: name.into(),
        listeners: None,
        hosts: None,
        path: None,
        methods: None,
        headers: Vec::new(),
        cookies: Vec::new(),
        query: Vec::new(),
        tls: Vec::new(),
        action: Action::Respond { status: 200, content_type: "text/plain".into(), body: String::new() },
        rewrite: None,
        host_rewrite: HostRewrite::Preserve,
        request_headers: FieldRules::default(),
        response_headers: FieldRules::default(),
        timeouts: RouteTimeouts::default(),
        retry: None,
        priority: evenly_core::queue::Priority::Normal,
        body_bytes: None,
        allow_connect: false,
        allow_upgrade: false,
        early_data: false,
        guard: None,
        compression: None,
        fault: None,
        mirror: None,
    }
}

pub fn hosts(hosts: &[&str]) -> Option<Vec<String>> {
    Some(hosts.iter().map(ToString::to_string).collect())
}

pub fn exact(path: &str) -> Option<PathMatch> {
    Some(PathMatch::Exact(path.into()))
}

pub fn prefix(path: &str) -> Option<PathMatch> {
    Some(PathMatch::Prefix(path.into()))
}

pub fn regex(pattern: &str) -> Option<PathMatch> {
    Some(PathMatch::Regex(pattern.into()))
}

pub fn field(name: &str, value: ValueMatch) -> FieldMatch {
    FieldMatch { name: name.into(), value }
}

/// The document of `tests/golden/document/complete.json` with other routes.
pub fn document(routes: Vec<Route>) -> Document {
    let text = include_str!("../../../../tests/golden/document/complete.json");
    Document { routes, ..Document::parse(text).unwrap() }
}

/// A table of `routes`; all of them must be valid, and act without pools.
pub fn table(routes: &[Route]) -> RouteTable {
    let build = |(id, route): (u32, &Route)| {
        let pools = [("app", evenly_core::route::PoolIndex(0))].into_iter().collect();
        Arc::new(evenly_core::route::Route::build(route, RouteId(id), &pools).unwrap())
    };
    RouteTable::build(&(0..).zip(routes).map(build).collect::<Vec<_>>())
}

/// Header fields in a list.
#[derive(Debug, Clone, Default)]
pub struct List(pub Vec<(String, String)>);

impl Fields for List {
    fn first(&self, name: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_bytes())
    }

    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.iter().any(|(own, value)| own.eq_ignore_ascii_case(name) && test(value.as_bytes()))
    }
}

/// A GET.
pub fn get<'a>(host: &'a str, path: &'a str, fields: &'a List) -> Request<'a> {
    Request { method: "GET", host, path, query: None, fields, tls: None, connect: false }
}
