//! What is allowed but hardly meant.

use super::affinity;
use crate::document::{Action, Document, HashSource, PathMatch, Protocol, Route};
use crate::route::shadow::shadowed;
use crate::template::Template;
use rustc_hash::FxHashSet;
use serde::Serialize;

/// A remark on a document that is valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Where in the document: `routes[3]`.
    pub path: String,
    /// What is odd about it.
    pub message: String,
}

/// All remarks, listeners first, then pools, then routes.
pub(super) fn warnings(document: &Document) -> Vec<Warning> {
    let mut warnings = without_routes(document);
    warnings.extend(tcp_keys(document));
    warnings.extend(affinity::warnings(document));
    warnings.extend(unused_pools(document));
    warnings.extend(shadowed(document));
    warnings.extend(loops(document));
    warnings
}

fn without_routes(document: &Document) -> Vec<Warning> {
    let named: FxHashSet<&str> = document
        .routes
        .iter()
        .filter_map(|route| route.listeners.as_ref())
        .flatten()
        .map(String::as_str)
        .collect();
    let for_all = document.routes.iter().any(|route| route.listeners.is_none());
    let listeners = document.listeners.iter().enumerate();
    listeners
        .filter(|(_, l)| l.protocol == Protocol::Http && !for_all && !named.contains(l.name.as_str()))
        .map(|(i, listener)| Warning {
            path: format!("listeners[{i}]"),
            message: format!("listener '{}' has no route, so every request gets 404", listener.name),
        })
        .collect()
}

/// A stream has an address and nothing else to hash.
fn tcp_keys(document: &Document) -> Vec<Warning> {
    let needs_request: FxHashSet<&str> = document
        .pools
        .iter()
        .filter(|pool| pool.hash_key.as_ref().is_some_and(|key| key.source != HashSource::ClientIp))
        .map(|pool| pool.name.as_str())
        .collect();
    let pools =
        document.listeners.iter().enumerate().filter_map(|(i, l)| l.pool.as_deref().map(|pool| (i, pool)));
    pools
        .filter(|(_, pool)| needs_request.contains(pool))
        .map(|(i, pool)| Warning {
            path: format!("listeners[{i}].pool"),
            message: format!("pool '{pool}' hashes a part of HTTP requests, which connections of a tcp listener do not have"),
        })
        .collect()
}

fn unused_pools(document: &Document) -> Vec<Warning> {
    let mut used: FxHashSet<&str> = document.listeners.iter().filter_map(|l| l.pool.as_deref()).collect();
    used.extend(document.listeners.iter().flat_map(|l| &l.tls_routes).map(|route| route.pool.as_str()));
    for route in &document.routes {
        used.extend(
            route.guard.iter().flat_map(|guard| &guard.forward_auth).map(|service| service.pool.as_str()),
        );
        match &route.action {
            Action::Pool { pool } => drop(used.insert(pool)),
            Action::Split { pools, .. } => used.extend(pools.iter().map(|(pool, _)| pool.as_str())),
            Action::Redirect { .. } | Action::Respond { .. } => {}
        }
    }
    used.extend(document.routes.iter().filter_map(|route| Some(route.mirror.as_ref()?.pool.as_str())));
    used.extend(document.pools.iter().filter_map(|pool| pool.fallback.as_deref()));
    let pools = document.pools.iter().enumerate();
    pools
        .filter(|(_, pool)| !used.contains(pool.name.as_str()))
        .map(|(i, pool)| Warning {
            path: format!("pools[{i}]"),
            message: format!("pool '{}' is used by no route and no listener", pool.name),
        })
        .collect()
}

/// Redirects to where the request already is. A client that follows one asks the same again, without the query
/// unless the location has it, so the same route answers.
fn loops(document: &Document) -> Vec<Warning> {
    let routes = document.routes.iter().enumerate();
    routes
        .filter(|(_, route)| redirects_to_itself(route))
        .map(|(i, route)| Warning {
            path: format!("routes[{i}].action.location"),
            message: format!("route '{}' redirects to itself, so clients go round in circles", route.name),
        })
        .collect()
}

fn redirects_to_itself(route: &Route) -> bool {
    let Action::Redirect { location, .. } = &route.action else { return false };
    let Ok(template) = Template::parse(location) else { return false };
    let own_path = match &route.path {
        Some(PathMatch::Exact(path)) => template.literal() == Some(path.as_bytes()),
        _ => false,
    };
    // Browsers turn other methods into GET, which the route may not match.
    let matches_get =
        route.methods.as_ref().is_none_or(|methods| methods.iter().any(|method| method == "GET"));
    matches_get && route.query.is_empty() && (own_path || template.is_own_path())
}
