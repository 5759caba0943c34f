//! Affinity of all pools and routes of a document.

use super::{Snapshot, Warning};
use crate::affinity::{Affinity, Secrets, Variants};
use crate::document::{self, Action, AffinityCookie, Document, DocumentError, Protocol};
use crate::route::{PoolIndex, inside};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::hash_map::Entry;

/// Each pool's, in the document's order; tables are taken over from the previous snapshot by the pool's name.
pub(super) fn of_pools(
    document: &Document,
    previous: Option<&Snapshot>,
    secrets: Option<&Secrets>,
) -> Result<Vec<Option<Affinity>>, DocumentError> {
    let before: FxHashMap<&str, &Affinity> = previous
        .iter()
        .flat_map(|snapshot| snapshot.pools.iter().zip(&snapshot.affinities))
        .filter_map(|(pool, affinity)| Some((&*pool.name, affinity.as_ref()?)))
        .collect();
    let build = |(i, pool): (usize, &crate::document::Pool)| {
        let before = before.get(pool.name.as_str()).copied();
        Affinity::build(pool, before, secrets).map_err(inside(&format!("pools[{i}]")))
    };
    document.pools.iter().enumerate().map(build).collect()
}

/// Each route's variants, in the document's order.
pub(super) fn of_routes(
    document: &Document,
    secrets: Option<&Secrets>,
) -> Result<Vec<Option<Variants>>, DocumentError> {
    let places: FxHashMap<&str, PoolIndex> =
        (0..).zip(&document.pools).map(|(i, pool)| (pool.name.as_str(), PoolIndex(i))).collect();
    let build = |(i, route): (usize, &crate::document::Route)| {
        let Action::Split { pools, affinity: Some(cookie) } = &route.action else { return Ok(None) };
        let pools = pools
            .iter()
            .filter_map(|(name, weight)| Some((name.as_str(), *weight, *places.get(name.as_str())?)));
        Variants::build(cookie, pools, secrets).map(Some).map_err(inside(&format!("routes[{i}]")))
    };
    document.routes.iter().enumerate().map(build).collect()
}

/// Affinity that does not do what it seems to.
pub(super) fn warnings(document: &Document) -> Vec<Warning> {
    let mut warnings = without_http(document);
    warnings.extend(shared_cookies(document));
    warnings
}

/// A stream shows its client's address and nothing else.
fn without_http(document: &Document) -> Vec<Warning> {
    let known_by_http: FxHashSet<&str> = document
        .pools
        .iter()
        .filter(|pool| !matches!(pool.affinity, None | Some(document::Affinity::SourceIp { .. })))
        .map(|pool| pool.name.as_str())
        .collect();
    let known_by_name = |name: &str| {
        let mut pools = document.pools.iter();
        pools.any(|pool| pool.name == name && matches!(pool.affinity, Some(document::Affinity::Sni { .. })))
    };
    let listeners = document.listeners.iter().enumerate();
    listeners
        .filter_map(|(i, listener)| Some((i, listener.protocol, listener.pool.as_deref()?)))
        .filter(|(_, protocol, pool)| {
            known_by_http.contains(pool) && !(known_by_name(pool) && *protocol == Protocol::Tcp)
        })
        .map(|(i, _, pool)| Warning {
            path: format!("listeners[{i}].pool"),
            message: format!(
                "pool '{pool}' knows its clients by what HTTP requests or TLS connections say, which this listener's do not \
                 have; source_ip would work"
            ),
        })
        .collect()
}

/// Two that write one cookie take it from each other: whoever uses both starts anew with each change.
fn shared_cookies(document: &Document) -> Vec<Warning> {
    let pools = document.pools.iter().enumerate().filter_map(|(i, pool)| match &pool.affinity {
        Some(document::Affinity::Cookie { cookie }) => {
            Some((format!("pools[{i}].affinity.cookie.name"), cookie))
        }
        _ => None,
    });
    let splits = document.routes.iter().enumerate().filter_map(|(i, route)| match &route.action {
        Action::Split { affinity: Some(cookie), .. } => {
            Some((format!("routes[{i}].action.affinity.name"), cookie))
        }
        _ => None,
    });
    let mut first: FxHashMap<(&str, &str), String> = FxHashMap::default();
    let mut warnings = Vec::new();
    for (path, AffinityCookie { name, path: scope, .. }) in pools.chain(splits) {
        // Routes that share a cookie share their variants, which is what one may want.
        let is_split = path.starts_with("routes");
        match first.entry((name, scope)) {
            Entry::Vacant(entry) => drop(entry.insert(path)),
            Entry::Occupied(entry) if is_split && entry.get().starts_with("routes") => {}
            Entry::Occupied(_) => warnings.push(Warning {
                path,
                message: format!(
                    "another pool or split sets the cookie '{name}' for the same paths; under one host they would take it \
                     from each other"
                ),
            }),
        }
    }
    warnings
}
