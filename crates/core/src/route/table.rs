//! The routes of one listener, indexed so that the time to find one does not grow with their number.
//!
//! Host, then path, lead to short lists of routes whose remaining conditions are tried in file order. A request looks
//! up its host once exactly, once for each parent domain if any route has a wildcard, and once among the routes
//! for any host; in each of these it looks up its path once exactly and walks the prefixes once. Lists that begin
//! after the best route found are skipped.
//!
//! What stays linear: routes that share host and path and differ only by method, cookie, query or a header's
//! expression (exact header values are indexed), and path expressions without a literal beginning (tried 32 at once).

use super::candidates::{Candidates, Search};
use super::host::{LONGEST_HOST, lower_case};
use super::path::literal_prefix;
use super::trie::PrefixTrie;
use super::{HostPattern, PathPattern, Request, Route, host_name};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Routes and their index. Built once, then only read; [`RouteTable::find`] does not allocate.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Box<[Arc<Route>]>,
    exact: FxHashMap<Box<[u8]>, Paths>,
    below: FxHashMap<Box<[u8]>, Paths>,
    any: Paths,
}

/// The routes for one host pattern by path.
#[derive(Debug, Default)]
struct Paths {
    lowest: u32,
    exact: FxHashMap<Box<str>, Candidates>,
    prefixes: PrefixTrie,
}

/// Places of routes by path, while building.
#[derive(Default)]
struct Draft<'a> {
    exact: BTreeMap<&'a str, Vec<u32>>,
    prefixes: BTreeMap<&'a str, Vec<u32>>,
}

impl RouteTable {
    /// Indexes routes; their order is the file's.
    pub fn build(routes: &[Arc<Route>]) -> Self {
        let mut exact: BTreeMap<&str, Draft<'_>> = BTreeMap::new();
        let mut below: BTreeMap<&str, Draft<'_>> = BTreeMap::new();
        let mut any = Draft::default();
        for (place, route) in (0_u32..).zip(routes) {
            if route.hosts.is_empty() {
                any.add(place, &route.path);
            }
            for host in &route.hosts {
                let draft = match host {
                    HostPattern::Exact(name) => exact.entry(name).or_default(),
                    HostPattern::Below(name) => below.entry(name).or_default(),
                };
                draft.add(place, &route.path);
            }
        }
        let index = |drafts: BTreeMap<&str, Draft<'_>>| {
            drafts.into_iter().map(|(host, draft)| (host.as_bytes().into(), draft.index(routes))).collect()
        };
        Self { routes: routes.into(), exact: index(exact), below: index(below), any: any.index(routes) }
    }

    /// The first route in file order that `request` matches.
    pub fn find(&self, request: &Request<'_>) -> Option<&Arc<Route>> {
        let mut search = Search { request, routes: &self.routes, best: u32::MAX };
        if !self.exact.is_empty() || !self.below.is_empty() {
            let mut buffer = [0; LONGEST_HOST];
            if let Some(host) = lower_case(host_name(request.host).as_bytes(), &mut buffer) {
                self.search_host(host, &mut search);
            }
        }
        self.any.search(&mut search);
        self.routes.get(search.best as usize)
    }

    /// The routes, in file order.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    fn search_host(&self, host: &[u8], search: &mut Search<'_>) {
        if let Some(paths) = self.exact.get(host) {
            paths.search(search);
        }
        if self.below.is_empty() {
            return;
        }
        // A dot at the very beginning has no name before it, so nothing is below what follows it.
        for (at, _) in host.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'.') {
            if let Some(paths) = self.below.get(&host[at + 1..]) {
                paths.search(search);
            }
        }
    }
}

impl Paths {
    fn search(&self, search: &mut Search<'_>) {
        if self.lowest >= search.best {
            return;
        }
        if !self.exact.is_empty()
            && let Some(candidates) = self.exact.get(search.request.path)
        {
            search.consider(candidates);
        }
        self.prefixes.search(search.request.path.as_bytes(), search);
    }
}

impl<'a> Draft<'a> {
    fn add(&mut self, place: u32, path: &'a PathPattern) {
        let places = match path {
            PathPattern::Any => self.prefixes.entry("").or_default(),
            PathPattern::Exact(exact) => self.exact.entry(exact).or_default(),
            PathPattern::Prefix(prefix) => self.prefixes.entry(prefix).or_default(),
            PathPattern::Regex(expression) => {
                self.prefixes.entry(literal_prefix(&expression.pattern)).or_default()
            }
        };
        // A route that names a host twice is still one route.
        if places.last() != Some(&place) {
            places.push(place);
        }
    }

    fn index(self, routes: &[Arc<Route>]) -> Paths {
        let exact: FxHashMap<Box<str>, Candidates> = self
            .exact
            .iter()
            .map(|(path, places)| ((*path).into(), Candidates::build(places, routes)))
            .collect();
        let prefixes =
            self.prefixes.iter().map(|(prefix, places)| (*prefix, Candidates::build(places, routes)));
        let prefixes = PrefixTrie::build(prefixes.collect());
        let lowest =
            exact.values().map(Candidates::lowest).chain([prefixes.lowest()]).min().unwrap_or(u32::MAX);
        Paths { lowest, exact, prefixes }
    }
}
