//! What a worker makes of a snapshot: the snapshot itself and a picker for each of its pools.

use crate::permits::ListenerPermits;
use crate::tls::{Target, Targets, Termination, target_of};
use evenly_core::circuit::Permit;
use evenly_core::document::Protocol;
use evenly_core::hedge::Delays;
use evenly_core::listener::{Listener, Service};
use evenly_core::pool::{Endpoint, EndpointId, Nanos, Picker, Pool, PoolId};
use evenly_core::random::Random;
use evenly_core::retry::Budget;
use evenly_core::route::RouteId;
use evenly_core::snapshot::Snapshot;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// One snapshot as one worker sees it. A request pins it once and lives and dies with it.
pub struct View {
    /// Counts the worker's views, from 1 on.
    pub generation: u64,
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    /// By the pool's place in the snapshot.
    pickers: Vec<Rc<RefCell<Picker>>>,
    /// Likewise.
    budgets: Vec<Rc<RefCell<Budget>>>,
    /// Likewise; only of pools that hedge.
    delays: Vec<Option<Rc<RefCell<Delays>>>>,
    /// By the route's number: its place in the snapshot.
    routes: Vec<usize>,
    /// The same of pools: looked for by each connection over tcp, and by each pool of the next snapshot.
    pools: FxHashMap<PoolId, usize>,
    /// Listeners of streams and of datagrams, whose ports have nothing to do with one another.
    by_bind: FxHashMap<SocketAddr, usize>,
    by_datagrams: FxHashMap<SocketAddr, usize>,
    permits: Vec<Arc<ListenerPermits>>,
    terminations: Vec<Option<Termination>>,
    targets: Targets,
    endpoints: FxHashSet<u32>,
}

impl View {
    /// A view of `snapshot` that goes on where `previous` was: unchanged pools keep their balancer's position.
    pub fn new(
        snapshot: Arc<Snapshot>,
        permits: Vec<Arc<ListenerPermits>>,
        (terminations, targets): (Vec<Option<Termination>>, Targets),
        previous: Option<&View>,
        random: &mut Random,
    ) -> Self {
        let generation = previous.map_or(0, |previous| previous.generation) + 1;
        let pickers = snapshot.pools.iter().map(|pool| picker(pool, previous, random)).collect();
        let workers = snapshot.document.workers;
        let budgets = snapshot.pools.iter().map(|pool| budget(pool, workers, previous)).collect();
        let delays = snapshot.pools.iter().map(|pool| delays(pool, previous)).collect();
        let routes = places(&snapshot);
        let pools = snapshot.pools.iter().enumerate().map(|(place, pool)| (pool.id, place)).collect();
        let (by_bind, by_datagrams) = (by_bind(&snapshot, false), by_bind(&snapshot, true));
        let members = snapshot.pools.iter().flat_map(|pool| &pool.members);
        let endpoints = members.map(|member| member.endpoint.id().0).collect();
        Self {
            generation,
            pickers,
            budgets,
            delays,
            routes,
            pools,
            by_bind,
            by_datagrams,
            permits,
            terminations,
            targets,
            endpoints,
            snapshot,
        }
    }

    /// The picker of a pool, by its place in the snapshot.
    pub fn picker(&self, pool: usize) -> &RefCell<Picker> {
        &self.pickers[pool]
    }

    /// A pool's retry budget, by its place in the snapshot.
    pub fn budget(&self, pool: usize) -> &RefCell<Budget> {
        &self.budgets[pool]
    }

    /// How long a pool's requests take, by its place in the snapshot, where that is measured.
    pub fn delays(&self, pool: usize) -> Option<&RefCell<Delays>> {
        self.delays[pool].as_deref()
    }

    /// The place of one of the snapshot's routes in it.
    pub fn route(&self, id: RouteId) -> usize {
        self.routes[id.0 as usize]
    }

    /// The place of a pool in the snapshot.
    pub fn place(&self, pool: PoolId) -> Option<usize> {
        self.pools.get(&pool).copied()
    }

    /// The pool at a place in the snapshot.
    pub fn pool(&self, pool: usize) -> &Arc<Pool> {
        &self.snapshot.pools[pool]
    }

    /// The place of the pool that takes a request: the one named, or while its circuit refuses, nobody in it can be picked, or
    /// it has no room and no queue, the first of its fallbacks that takes it. When there is none, the one named, whose reason
    /// the client then gets. The request is let in at once, since a circuit that is half-open might not do so later.
    pub fn taking(&self, pool: usize, now: Nanos) -> (usize, Option<Permit>) {
        let mut here = pool;
        loop {
            let permit = self.takes(here, now).then(|| self.pool(here).enter()).flatten();
            match self.snapshot.fallbacks[here] {
                _ if permit.is_some() => return (here, permit),
                Some(next) => here = next.0 as usize,
                None => return (pool, None),
            }
        }
    }

    fn takes(&self, pool: usize, now: Nanos) -> bool {
        let mut picker = self.picker(pool).borrow_mut();
        picker.tier(now).is_ok() && (self.pool(pool).queue.is_some() || picker.has_room())
    }

    /// The listener that owns a bound address, with its permits; `None` once a reload took it away.
    pub fn listener(&self, bind: SocketAddr) -> Option<(&Arc<Listener>, &Arc<ListenerPermits>)> {
        let place = self.listener_place(bind)?;
        Some((&self.snapshot.listeners[place], &self.permits[place]))
    }

    /// The place of that listener in the snapshot.
    pub fn listener_place(&self, bind: SocketAddr) -> Option<usize> {
        self.by_bind.get(&bind).copied()
    }

    /// What that listener does with what comes in.
    pub fn service(&self, bind: SocketAddr) -> Option<&Service> {
        self.listener_place(bind).map(|place| &self.snapshot.services[place])
    }

    /// How the listener that owns a bound address terminates TLS, if it does.
    pub fn termination(&self, bind: SocketAddr) -> Option<&Termination> {
        self.terminations[self.listener_place(bind)?].as_ref()
    }

    /// The same for a listener of datagrams.
    pub fn datagrams(&self, bind: SocketAddr) -> Option<(&Arc<Listener>, &Arc<ListenerPermits>)> {
        let index = *self.by_datagrams.get(&bind)?;
        Some((&self.snapshot.listeners[index], &self.permits[index]))
    }

    /// The place of the pool that a listener of datagrams has.
    pub fn pool_of_datagrams(&self, bind: SocketAddr) -> Option<usize> {
        match &self.snapshot.services[*self.by_datagrams.get(&bind)?] {
            Service::Udp(pool) => self.place(pool.id),
            Service::Http(_) | Service::Tcp(_) => None,
        }
    }

    /// How TLS is spoken with an endpoint, if it is.
    #[inline]
    pub fn target(&self, endpoint: &Endpoint) -> Option<&Arc<Target>> {
        target_of(&self.targets, endpoint)
    }

    /// The addresses of all listeners of streams.
    pub fn binds(&self) -> impl Iterator<Item = SocketAddr> {
        self.by_bind.keys().copied()
    }

    /// Whether an endpoint is in any pool.
    pub fn has_endpoint(&self, id: EndpointId) -> bool {
        self.endpoints.contains(&id.0)
    }
}

/// The places of the listeners of one kind.
fn by_bind(snapshot: &Snapshot, is_udp: bool) -> FxHashMap<SocketAddr, usize> {
    let listeners = snapshot.listeners.iter().enumerate();
    let listeners = listeners.filter(|(_, listener)| (listener.protocol == Protocol::Udp) == is_udp);
    listeners.flat_map(|(index, listener)| listener.bind.iter().map(move |bind| (*bind, index))).collect()
}

/// The routes' places by their numbers, which are dense.
fn places(snapshot: &Snapshot) -> Vec<usize> {
    let mut places = Vec::with_capacity(snapshot.routes.len());
    for (place, route) in snapshot.routes.iter().enumerate() {
        let id = route.id.0 as usize;
        if places.len() <= id {
            places.resize(id + 1, 0);
        }
        places[id] = place;
    }
    places
}

/// The picker that a pool had, moved on to its new membership, or a new one. Requests that are under way share it:
/// should one of them have to pick again, it must not pick an endpoint that was just removed.
fn picker(pool: &Arc<Pool>, previous: Option<&View>, random: &mut Random) -> Rc<RefCell<Picker>> {
    let kept = previous.and_then(|view| Some(Rc::clone(&view.pickers[view.place(pool.id)?])));
    match kept {
        Some(picker) => {
            picker.borrow_mut().update(Arc::clone(pool));
            picker
        }
        None => Rc::new(RefCell::new(Picker::new(Arc::clone(pool), Random::new(random.next())))),
    }
}

/// The budget that a pool had, under its new settings, or a new one.
fn budget(pool: &Pool, workers: u16, previous: Option<&View>) -> Rc<RefCell<Budget>> {
    let kept = previous.and_then(|view| Some(Rc::clone(&view.budgets[view.place(pool.id)?])));
    match kept {
        Some(budget) => {
            budget.borrow_mut().update(&pool.retry_budget, workers);
            budget
        }
        None => Rc::new(RefCell::new(Budget::new(&pool.retry_budget, workers, 0))),
    }
}

/// What was known of a pool's response times is still true.
fn delays(pool: &Pool, previous: Option<&View>) -> Option<Rc<RefCell<Delays>>> {
    pool.hedge?;
    let kept = previous.and_then(|view| view.delays[view.place(pool.id)?].clone());
    Some(kept.unwrap_or_default())
}
