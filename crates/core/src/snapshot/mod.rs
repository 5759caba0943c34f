//! The running configuration: the document checked, resolved and indexed. Immutable; a reload builds the next one.
//!
//! A request pins one snapshot and lives and dies with it. What must outlive a reload (numbers, endpoint health) is
//! taken over from the previous snapshot by name, or by pool and address.

mod affinity;
mod changes;
mod check;
mod fallbacks;
mod pools;
mod tls;
mod warnings;

pub use changes::{Changes, Difference};
pub use tls::takes_early_data;
pub use warnings::Warning;

use crate::access::IdentityFields;
use crate::affinity::{Affinity, Secrets, Variants};
use crate::answer::ErrorPages;
use crate::document::{self, Document, DocumentError, Protocol};
use crate::hash_key::HashKey;
use crate::ids::{Ids, Spans};
use crate::listener::{Listener, ListenerId, Service};
use crate::passthrough::Passthrough;
use crate::pool::Pool;
use crate::route::{PoolIndex, PoolIndexes, Route, RouteId, RouteTable, inside};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Everything that a worker needs to decide.
#[derive(Debug)]
pub struct Snapshot {
    /// 1 for the first snapshot of a process, and one more with each reload.
    pub generation: u64,
    /// What it was built from.
    pub document: Document,
    /// In the document's order.
    pub listeners: Vec<Arc<Listener>>,
    /// Where what comes in goes, in the same places as `listeners`.
    pub services: Vec<Service>,
    /// In the document's order; [`PoolIndex`] points here.
    pub pools: Vec<Arc<Pool>>,
    /// What the balancer of each pool hashes, in the same places as `pools`; `None` where it does not hash.
    pub hash_keys: Vec<Option<HashKey>>,
    /// How each pool knows its clients again, in the same places as `pools`.
    pub affinities: Vec<Option<Affinity>>,
    /// The pool that takes over from each when nobody in it can be picked, in the same places as `pools`.
    pub fallbacks: Vec<Option<PoolIndex>>,
    /// In the document's order, over all listeners.
    pub routes: Vec<Arc<Route>>,
    /// Fields by which guards tell endpoints whose request it is, if there are any.
    pub identity_fields: Option<IdentityFields>,
    /// What keeps clients on their variant of a split, in the same places as `routes`.
    pub variants: Vec<Option<Variants>>,
    /// Answers to failures.
    pub error_pages: ErrorPages,
    ids: Ids,
}

impl Snapshot {
    /// Builds the snapshot that follows `previous`. Nothing of `previous` changes, so a failure leaves it running.
    ///
    /// # Errors
    /// The first value of the document that cannot be meant as it stands, with its path.
    pub fn build(document: Document, previous: Option<&Self>) -> Result<Self, DocumentError> {
        check::check(&document)?;
        let mut ids = previous.map(|snapshot| snapshot.ids.clone()).unwrap_or_default();
        let pools = build_pools(&document, previous, &mut ids)?;
        let hash_keys = document.pools.iter().map(HashKey::of_pool).collect::<Result<_, _>>()?;
        let fallbacks = fallbacks::build(&document)?;
        let routes = build_routes(&document, &mut ids)?;
        let guards = routes.iter().filter_map(|route| route.guard.as_deref());
        let identity_fields = IdentityFields::of(guards);
        let secrets = Secrets::build(&document.affinity)?;
        let affinities = affinity::of_pools(&document, previous, secrets.as_ref())?;
        let variants = affinity::of_routes(&document, secrets.as_ref())?;
        let (listeners, services) = build_listeners(&document, previous, (&pools, &routes), &mut ids)?;
        let error_pages = ErrorPages::build(&document.error_pages)?;
        ids.retain();
        let generation = previous.map_or(1, |snapshot| snapshot.generation + 1);
        Ok(Self {
            generation,
            document,
            listeners,
            services,
            pools,
            hash_keys,
            affinities,
            fallbacks,
            routes,
            identity_fields,
            variants,
            error_pages,
            ids,
        })
    }

    /// The listener of this number, with what it was built from.
    fn listener(&self, id: ListenerId) -> Option<(&document::Listener, &Arc<Listener>)> {
        self.document.listeners.iter().zip(&self.listeners).find(|(_, listener)| listener.id == id)
    }

    /// The pool that a route's action names.
    pub fn pool(&self, index: PoolIndex) -> &Arc<Pool> {
        &self.pools[index.0 as usize]
    }

    /// What the balancer of that pool hashes, if it does.
    pub fn hash_key(&self, index: PoolIndex) -> Option<&HashKey> {
        self.hash_keys[index.0 as usize].as_ref()
    }

    /// How the clients of the pool at a place are known again, if they are.
    #[inline]
    pub fn affinity(&self, pool: usize) -> Option<&Affinity> {
        self.affinities[pool].as_ref()
    }

    /// The lengths that arrays of counters need.
    pub fn spans(&self) -> Spans {
        self.ids.spans()
    }

    /// What differs from `previous`, by name.
    pub fn changes(&self, previous: &Self) -> Changes {
        Changes::between(previous, self)
    }

    /// What is allowed but hardly meant, such as routes that can never match.
    pub fn warnings(&self) -> Vec<Warning> {
        warnings::warnings(&self.document)
    }
}

fn build_pools(
    document: &Document,
    previous: Option<&Snapshot>,
    ids: &mut Ids,
) -> Result<Vec<Arc<Pool>>, DocumentError> {
    let before: FxHashMap<&str, &Arc<Pool>> =
        previous.iter().flat_map(|snapshot| &snapshot.pools).map(|pool| (&*pool.name, pool)).collect();
    let build = |(i, pool): (usize, &crate::document::Pool)| {
        let before = before.get(pool.name.as_str()).map(|pool| &***pool);
        let built = Pool::build(pool, before, ids).map_err(inside(&format!("pools[{i}]")))?;
        Ok(Arc::new(built.seen_from(document.zone.as_deref())))
    };
    document.pools.iter().enumerate().map(build).collect()
}

fn build_routes(document: &Document, ids: &mut Ids) -> Result<Vec<Arc<Route>>, DocumentError> {
    let pools: PoolIndexes<'_> =
        (0..).zip(&document.pools).map(|(i, pool)| (pool.name.as_str(), PoolIndex(i))).collect();
    let build = |(i, route): (usize, &crate::document::Route)| {
        let id = RouteId(ids.route(&route.name));
        Route::build(route, id, &pools).map(Arc::new).map_err(inside(&format!("routes[{i}]")))
    };
    document.routes.iter().enumerate().map(build).collect()
}

fn build_listeners(
    document: &Document,
    previous: Option<&Snapshot>,
    (pools, routes): (&[Arc<Pool>], &[Arc<Route>]),
    ids: &mut Ids,
) -> Result<(Vec<Arc<Listener>>, Vec<Service>), DocumentError> {
    // Listeners with the same routes share one table, which most configurations have.
    let mut tables: FxHashMap<Vec<usize>, Arc<RouteTable>> = FxHashMap::default();
    let (mut listeners, mut services) = (Vec::new(), Vec::with_capacity(document.listeners.len()));
    for (i, listener) in document.listeners.iter().enumerate() {
        let service = match (listener.protocol, &listener.pool) {
            (Protocol::Tcp, _) => {
                let table =
                    Passthrough::build(listener, pools).map_err(inside(&format!("listeners[{i}]")))?;
                Service::Tcp(Arc::new(table))
            }
            (Protocol::Udp, Some(name)) => {
                let pool = pools.iter().find(|pool| *pool.name == **name);
                Service::Udp(pool.cloned().ok_or_else(|| {
                    DocumentError::new(format!("listeners[{i}].pool"), format!("unknown pool '{name}'"))
                })?)
            }
            _ => {
                let belongs = |place: &usize| {
                    let names = &document.routes[*place].listeners;
                    names.as_ref().is_none_or(|names| names.contains(&listener.name))
                };
                let places: Vec<usize> = (0..routes.len()).filter(belongs).collect();
                let table = tables.entry(places).or_insert_with_key(|places| {
                    let own: Vec<Arc<Route>> =
                        places.iter().map(|place| Arc::clone(&routes[*place])).collect();
                    Arc::new(RouteTable::build(&own))
                });
                Service::Http(Arc::clone(table))
            }
        };
        let id = ListenerId(ids.listener(&listener.name));
        let before = previous.and_then(|snapshot| snapshot.listener(id));
        listeners.push(match before {
            // Connections hold it: there shall not be as many as there were reloads.
            Some((document, before)) if document == listener => Arc::clone(before),
            _ => {
                let before = before.map(|(_, before)| &**before);
                let built = Listener::build(listener, id, before);
                Arc::new(built.map_err(inside(&format!("listeners[{i}]")))?)
            }
        });
        services.push(service);
    }
    Ok((listeners, services))
}
