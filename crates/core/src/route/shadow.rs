//! Finds routes that can never match, because an earlier one matches everything that they match.
//!
//! Only what is certain is reported: one earlier route whose hosts, listeners, path, methods and conditions each
//! include the later one's. Several routes that cover another only together are not looked for, and expressions are
//! compared by their text. Routes found to be unreachable are left out of the comparison, so among the others few
//! share host, path and a condition; an index on these three keeps 10,000 routes quick.

use super::path::literal_prefix;
use crate::document::{self, Document, FieldMatch, PathMatch, ValueMatch};
use crate::snapshot::Warning;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;

/// Warnings for the routes of a document that can never match.
pub fn shadowed(document: &Document) -> Vec<Warning> {
    let listeners: Vec<&str> = document.listeners.iter().map(|listener| listener.name.as_str()).collect();
    let scopes: Vec<Scope<'_>> = document.routes.iter().map(Scope::of).collect();
    let mut index = Index::default();
    let mut warnings = Vec::new();
    for (later, scope) in scopes.iter().enumerate() {
        let Some(earlier) = index.first_covering(scope, &scopes, &listeners) else {
            index.add(later, scope);
            continue;
        };
        let (name, by) = (&document.routes[later].name, &document.routes[earlier].name);
        warnings.push(Warning {
            path: format!("routes[{later}]"),
            message: format!(
                "route '{name}' can never match: route '{by}' comes first and matches everything that it matches"
            ),
        });
    }
    warnings
}

/// What a route matches.
struct Scope<'a> {
    hosts: FxHashSet<Host<'a>>,
    path: Path<'a>,
    methods: Option<BTreeSet<&'a str>>,
    connect: bool,
    listeners: Option<BTreeSet<&'a str>>,
    /// Its conditions as texts.
    conditions: BTreeSet<String>,
    /// Its conditions and what follows from them.
    implied: BTreeSet<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Host<'a> {
    Any,
    Exact(&'a str),
    Below(&'a str),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Path<'a> {
    Any,
    Exact(&'a str),
    Prefix(&'a str),
    Regex(&'a str),
}

/// Routes by one host, the path and one condition ("" for none).
#[derive(Default)]
struct Index<'a> {
    hosts: FxHashMap<Host<'a>, Paths<'a>>,
}

#[derive(Default)]
struct Paths<'a> {
    by_path: FxHashMap<Path<'a>, FxHashMap<&'a str, Vec<usize>>>,
    prefix_lengths: BTreeSet<usize>,
}

/// How many routes of one list are compared. Longer lists hold routes that differ in listeners, methods or further
/// conditions; a warning missed there is better than a reload that waits.
const COMPARED: usize = 64;

impl<'a> Index<'a> {
    fn add(&mut self, place: usize, scope: &'a Scope<'a>) {
        // Any one condition will do: whoever is covered implies all of them.
        let condition = scope.conditions.first().map_or("", String::as_str);
        for host in &scope.hosts {
            let paths = self.hosts.entry(*host).or_default();
            if let Path::Prefix(prefix) = scope.path {
                paths.prefix_lengths.insert(prefix.len());
            }
            paths.by_path.entry(scope.path).or_default().entry(condition).or_default().push(place);
        }
    }

    fn first_covering(&self, scope: &Scope<'_>, scopes: &[Scope<'_>], listeners: &[&str]) -> Option<usize> {
        let host = *scope.hosts.iter().next()?;
        let conditions = || scope.implied.iter().map(String::as_str).chain([""]);
        let paths = host.covering().filter_map(|covering| self.hosts.get(&covering));
        let lists = paths
            .flat_map(|paths| {
                scope.path.covering(&paths.prefix_lengths).filter_map(|path| paths.by_path.get(&path))
            })
            .flat_map(|by_condition| conditions().filter_map(|condition| by_condition.get(condition)));
        lists
            .filter_map(|places| {
                places.iter().take(COMPARED).find(|place| scopes[**place].covers(scope, listeners))
            })
            .min()
            .copied()
    }
}

impl<'a> Scope<'a> {
    fn of(route: &'a document::Route) -> Self {
        let mut scope = Self {
            hosts: route.hosts.as_ref().map_or_else(
                || FxHashSet::from_iter([Host::Any]),
                |hosts| hosts.iter().map(|host| Host::of(host)).collect(),
            ),
            path: match &route.path {
                None => Path::Any,
                Some(PathMatch::Exact(path)) => Path::Exact(path),
                Some(PathMatch::Prefix(prefix)) => Path::Prefix(prefix),
                Some(PathMatch::Regex(pattern)) => Path::Regex(pattern),
            },
            methods: route.methods.as_ref().map(|methods| methods.iter().map(String::as_str).collect()),
            connect: route.allow_connect
                && route.methods.as_ref().is_none_or(|m| m.iter().any(|m| m == "CONNECT")),
            listeners: route.listeners.as_ref().map(|names| names.iter().map(String::as_str).collect()),
            conditions: BTreeSet::new(),
            implied: BTreeSet::new(),
        };
        let lists = [
            ("header", &route.headers),
            ("cookie", &route.cookies),
            ("query", &route.query),
            ("tls", &route.tls),
        ];
        for (kind, fields) in lists {
            for field in fields {
                let own = condition_text(kind, field, &field.value);
                if field.value != ValueMatch::Absent {
                    scope.implied.insert(condition_text(kind, field, &ValueMatch::Present));
                }
                scope.implied.insert(own.clone());
                scope.conditions.insert(own);
            }
        }
        scope
    }

    /// Whether every request that `later` matches is matched by this one too.
    fn covers(&self, later: &Scope<'_>, listeners: &[&str]) -> bool {
        let has_listener = |name: &&str| self.listeners.as_ref().is_none_or(|own| own.contains(name));
        let lengths = match self.path {
            Path::Prefix(prefix) => BTreeSet::from([prefix.len()]),
            _ => BTreeSet::new(),
        };
        self.conditions.is_subset(&later.implied)
            && (self.connect || !later.connect)
            && match (&self.methods, &later.methods) {
                (None, _) => true,
                (Some(own), Some(methods)) => methods.is_subset(own),
                (Some(_), None) => false,
            }
            && match &later.listeners {
                Some(names) => names.iter().all(has_listener),
                None => listeners.iter().all(has_listener),
            }
            && later.path.covering(&lengths).any(|path| path == self.path)
            && later.hosts.iter().all(|host| host.covering().any(|covering| self.hosts.contains(&covering)))
    }
}

impl<'a> Host<'a> {
    fn of(text: &'a str) -> Self {
        text.strip_prefix("*.").map_or(Self::Exact(text), Self::Below)
    }

    /// The patterns that match all that this one matches.
    fn covering(self) -> impl Iterator<Item = Self> {
        let name = match self {
            Self::Any => "",
            Self::Exact(name) | Self::Below(name) => name,
        };
        let parents = name.match_indices('.').map(|(at, _)| Self::Below(&name[at + 1..]));
        let own = (self != Self::Any).then_some(self);
        [Self::Any].into_iter().chain(own).chain(parents)
    }
}

impl<'a> Path<'a> {
    /// The conditions that match all that this one matches, prefixes only of the given lengths.
    fn covering(self, prefix_lengths: &BTreeSet<usize>) -> impl Iterator<Item = Self> {
        let beginning = match self {
            Self::Any => "",
            Self::Exact(text) | Self::Prefix(text) => text,
            Self::Regex(pattern) => literal_prefix(pattern),
        };
        let prefixes =
            prefix_lengths.range(1..=beginning.len().max(1)).filter_map(|length| beginning.get(..*length));
        let own = (!matches!(self, Self::Any | Self::Prefix(_))).then_some(self);
        [Self::Any].into_iter().chain(own).chain(prefixes.map(Self::Prefix))
    }
}

/// A condition as a text: equal texts are equal conditions. Header names compare without case.
fn condition_text(kind: &str, field: &FieldMatch, value: &ValueMatch) -> String {
    let name = if kind == "header" { field.name.to_ascii_lowercase() } else { field.name.clone() };
    format!("{kind} {name:?} {value:?}")
}
