//! Routes that share host and path, in file order, and the search through them.

use super::{PathPattern, Request, Route};
use regex::{RegexSet, RegexSetBuilder};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Routes with one host pattern and one exact path or prefix; for expressions, the prefix that all matches share.
/// Numbers are places in the table, ascending, so the first that fits is the best of its list.
#[derive(Debug)]
pub(super) struct Candidates {
    lowest: u32,
    plain: Box<[u32]>,
    by_header: Box<[ByHeader]>,
    expressions: Box<[Expressions]>,
}

/// Routes that ask for an exact value of one header, by that value.
#[derive(Debug)]
struct ByHeader {
    lowest: u32,
    name: Box<str>,
    values: FxHashMap<Box<[u8]>, Vec<u32>>,
}

/// Some routes with expressions, and whether any of the expressions matches.
#[derive(Debug)]
struct Expressions {
    any: Option<RegexSet>,
    members: Box<[u32]>,
}

/// From how many routes on a header's values are indexed. Below, trying each is as fast as finding the value's list.
const HEADER_INDEX_FROM: usize = 16;

/// How many headers are indexed in one list; each costs every request one look at its fields.
const HEADER_INDEXES: usize = 4;

/// Expressions tried as one. More in one set would save tries but need a larger automaton than its cache holds, which
/// then is slower than trying each; asking a set which members match, instead of whether any does, would allocate.
const EXPRESSIONS_AT_ONCE: usize = 32;

/// From how many expressions on a set is worth its memory.
const SET_FROM: usize = 4;

/// A request on its way through a table.
pub(super) struct Search<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) routes: &'a [Arc<Route>],
    /// The first route found so far; later ones need no look.
    pub(super) best: u32,
}

impl Candidates {
    /// From places in `routes`, ascending.
    pub(super) fn build(places: &[u32], routes: &[Arc<Route>]) -> Self {
        let is_expression = |place: &u32| matches!(routes[*place as usize].path, PathPattern::Regex(_));
        let (expressions, mut plain): (Vec<u32>, Vec<u32>) =
            places.iter().partition(|place| is_expression(place));
        let by_header =
            if plain.len() < HEADER_INDEX_FROM { Vec::new() } else { take_by_header(&mut plain, routes) };
        Self {
            lowest: places.first().copied().unwrap_or(u32::MAX),
            plain: plain.into(),
            by_header: by_header.into(),
            expressions: expressions
                .chunks(EXPRESSIONS_AT_ONCE)
                .map(|members| Expressions::build(members, routes))
                .collect(),
        }
    }

    pub(super) fn lowest(&self) -> u32 {
        self.lowest
    }
}

impl Search<'_> {
    /// Looks for a better route; host and path are known to fit, but for expressions.
    pub(super) fn consider(&mut self, candidates: &Candidates) {
        if candidates.lowest >= self.best {
            return;
        }
        self.first_of(&candidates.plain);
        for index in &candidates.by_header {
            if index.lowest < self.best {
                let fields = self.request.fields;
                fields.any(&index.name, &mut |value| {
                    if let Some(places) = index.values.get(value) {
                        self.first_of(places);
                    }
                    false // another field of this name may lead to an earlier route
                });
            }
        }
        for block in &candidates.expressions {
            if block.members[0] >= self.best {
                break;
            }
            if block.any.as_ref().is_none_or(|any| any.is_match(self.request.path)) {
                self.first_expression_of(&block.members);
            }
        }
    }

    fn first_of(&mut self, places: &[u32]) {
        for &place in places {
            if place >= self.best {
                return;
            }
            if self.routes[place as usize].conditions.hold(self.request) {
                self.best = place;
                return;
            }
        }
    }

    fn first_expression_of(&mut self, places: &[u32]) {
        for &place in places {
            if place >= self.best {
                return;
            }
            let route = &self.routes[place as usize];
            if route.path.matches(self.request.path) && route.conditions.hold(self.request) {
                self.best = place;
                return;
            }
        }
    }
}

impl Expressions {
    fn build(members: &[u32], routes: &[Arc<Route>]) -> Self {
        let patterns = members.iter().filter_map(|place| match &routes[*place as usize].path {
            PathPattern::Regex(expression) => Some(expression.anchored()),
            _ => None,
        });
        // A set too large to compile is done without: its members are then tried one after the other.
        let any = (members.len() >= SET_FROM).then(|| RegexSetBuilder::new(patterns).build().ok()).flatten();
        Self { any, members: members.into() }
    }
}

/// Moves routes that ask for an exact header value from `plain` into indexes, for the headers that most ask for.
fn take_by_header(plain: &mut Vec<u32>, routes: &[Arc<Route>]) -> Vec<ByHeader> {
    let mut groups: FxHashMap<String, Vec<u32>> = FxHashMap::default();
    for &place in plain.iter() {
        if let Some((name, _)) = routes[place as usize].conditions.exact_header() {
            groups.entry(name.to_ascii_lowercase()).or_default().push(place);
        }
    }
    let mut groups: Vec<_> =
        groups.into_iter().filter(|(_, places)| places.len() >= HEADER_INDEX_FROM).collect();
    groups.sort_unstable_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    groups.truncate(HEADER_INDEXES);
    plain.retain(|place| !groups.iter().any(|(_, places)| places.binary_search(place).is_ok()));
    let index = |(name, places): (String, Vec<u32>)| {
        let mut values: FxHashMap<Box<[u8]>, Vec<u32>> = FxHashMap::default();
        for &place in &places {
            if let Some((_, value)) = routes[place as usize].conditions.exact_header() {
                values.entry(value.into()).or_default().push(place);
            }
        }
        ByHeader { lowest: places[0], name: name.into(), values }
    };
    groups.into_iter().map(index).collect()
}
