//! TCP listeners: a connection is picked an endpoint and relayed to it, byte for byte. Where routes go by what a TLS
//! client asks for, `hello.rs` reads that first.

mod hello;

use crate::access_log::{Line, Names};
use crate::arrival::{Origin, introduction};
use crate::io;
use crate::metrics::{NONE, Record};
use crate::permits::Permit;
use crate::stream::Stream;
use crate::tls::{Facts, NO_ALPN};
use crate::tunnel::{Direction, End, Patience, relay};
use crate::upstream::{Opening, Upstream, dial};
use crate::worker::Worker;
use crate::worker::buffers::Buffer;
use crate::worker::deadlines::Deadline;
use crate::worker::view::View;
use evenly_core::affinity::{Affinity, Ask, Clue, Place, Told, pick};
use evenly_core::error::{Failure, Side};
use evenly_core::hash_key::HashKey;
use evenly_core::listener::{Listener, Service};
use evenly_core::outlier::Outcome;
use evenly_core::passthrough::Passthrough;
use evenly_core::pool::{EndpointId, Lease, Nanos, NoEndpoint, Pool, PoolId};
use evenly_core::proxy_protocol::Addresses;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// What is counted of a connection.
struct Tally {
    started: Nanos,
    connect: Nanos,
    endpoint: Option<(EndpointId, SocketAddr)>,
    bytes: (u64, u64),
    is_resent: bool,
    affinity: Told,
    failure: Option<Failure>,
    /// The name in a ClientHello that is passed through.
    name: Option<Box<str>>,
    /// What was agreed on with the client, where TLS is terminated.
    tls: Option<Rc<Facts>>,
}

/// Serves one client from its first byte to its last.
pub async fn serve(worker: Rc<Worker>, stream: Stream, origin: Origin, _permit: Permit) {
    let Some(view) = worker.view_of(origin.bind) else { return };
    let Some(listener) = view.listener(origin.bind).map(|(listener, _)| Arc::clone(listener)) else { return };
    let Some(Service::Tcp(routes)) = view.service(origin.bind).cloned() else { return };
    let _open = worker.open(listener.id);
    let mut tally = Tally {
        started: worker.now(),
        connect: 0,
        endpoint: None,
        bytes: (0, 0),
        is_resent: false,
        affinity: Told::default(),
        failure: None,
        name: None,
        tls: stream.facts().map(Rc::clone),
    };
    let mut connection = Connection { worker: &worker, listener, pool: None, origin };
    tally.failure = connection.serve((view, routes), stream, &mut tally).await;
    connection.record(&tally);
}

/// What a connection's steps share.
struct Connection<'a> {
    worker: &'a Rc<Worker>,
    listener: Arc<Listener>,
    /// The number and the name of the pool, once it is known. A pool is part of its snapshot, which is not kept.
    pool: Option<(PoolId, Box<str>)>,
    origin: Origin,
}

impl Connection<'_> {
    /// All steps; why it ended, if not by both sides' will. The configuration is pinned until an endpoint is reached.
    async fn serve(
        &mut self,
        (view, routes): (Rc<View>, Arc<Passthrough>),
        mut stream: Stream,
        tally: &mut Tally,
    ) -> Option<Failure> {
        let deadline = self.worker.deadlines.slot();
        poll_fn(|cx| {
            deadline.register(cx);
            Poll::Ready(())
        })
        .await;
        let reached = match self.route((&view, &routes), &mut stream, &deadline, &mut tally.name).await {
            Ok((pool, first, name)) => {
                let (place, permit) = self.worker.taking(&view, pool, tally.started);
                let pool = view.pool(place);
                self.pool = Some((pool.id, pool.name.clone()));
                let addresses = || self.origin.addresses(&stream);
                let permit = permit.or_else(|| self.worker.enter(pool));
                let reached = match permit {
                    Some(_) => self.reach(&view, (place, name.as_deref()), addresses, &deadline, tally).await,
                    None => Err(Failure::CircuitOpen),
                };
                // What is nobody's but ours says nothing of the pool.
                let is_told = reached.as_ref().err().is_none_or(|failure| failure.side() == Side::Upstream);
                if let Some(permit) = permit.filter(|_| is_told && tally.endpoint.is_some()) {
                    pool.leave(permit, reached.is_ok());
                }
                reached.map(|reached| (reached, first))
            }
            Err(failure) => Err(failure),
        };
        // What is relayed may last for days, while each reload leaves a whole configuration behind.
        drop((view, routes));
        match reached {
            Ok(((_lease, upstream), first)) => self.relay(stream, upstream, first, &deadline, tally).await,
            Err(failure) => {
                io::abort(stream);
                Some(failure)
            }
        }
    }

    /// *Route*: the pool's place in the snapshot, what was read to know it, and the name that a TLS client asks for, where
    /// that counts. One that was read is `told`, too, also when it leads nowhere.
    async fn route(
        &self,
        (view, routes): (&View, &Passthrough),
        stream: &mut Stream,
        deadline: &Deadline,
        told: &mut Option<Box<str>>,
    ) -> Result<(usize, Option<Buffer>, Option<Box<str>>), Failure> {
        let facts = stream.facts().map(Rc::clone);
        let (pool, first, name) = if routes.needs_hello() || facts.is_none() && knows_by_name(view, routes) {
            // Boxed: most listeners have no such routes, and every connection would be larger for it.
            let reading =
                hello::read(self.worker, stream, deadline, (self.origin.bind, self.listener.timeouts.header));
            let (hello, first) = Box::pin(reading).await?;
            told.clone_from(&hello.server_name);
            (routes.pool(&hello), Some(first), hello.server_name)
        } else {
            (routes.default(), None, facts.and_then(|facts| facts.name.clone()))
        };
        let place = pool.and_then(|pool| view.place(pool.id));
        Ok((place.ok_or(Failure::RouteNone)?, first, name))
    }

    /// *Relay*.
    async fn relay(
        &self,
        mut stream: Stream,
        mut upstream: Upstream,
        first: Option<Buffer>,
        deadline: &Deadline,
        tally: &mut Tally,
    ) -> Option<Failure> {
        let timeouts = &self.listener.timeouts;
        let patience = Patience { idle: timeouts.idle, half_close: timeouts.half_close, send: timeouts.send };
        let (mut up, mut down) = (Direction::new(first, Duration::MAX), Direction::new(None, patience.send));
        let sides = (&mut stream, &mut upstream.stream);
        let end = relay(sides, (&mut up, &mut down), &self.worker.buffers, deadline, patience).await;
        tally.bytes = (up.bytes(), down.bytes());
        let failure = match end {
            End::Closed => return None,
            End::DownstreamBroke => Failure::ClientGone,
            End::DownstreamSlow => Failure::SendTimeout,
            End::UpstreamBroke => Failure::UpstreamTruncated,
            End::Idle => Failure::IdleTimeout,
        };
        // Neither side may take what it got for the whole.
        io::abort(stream);
        io::abort(upstream.stream);
        Some(failure)
    }

    /// A connection to an endpoint; to a second one when the first cannot be reached, as nothing was sent yet.
    async fn reach(
        &self,
        view: &View,
        (place, name): (usize, Option<&str>),
        addresses: impl Fn() -> Addresses,
        deadline: &Deadline,
        tally: &mut Tally,
    ) -> Result<(Lease, Upstream), Failure> {
        let (pool, affinity) = (view.pool(place), view.snapshot.affinity(place));
        let timeout = Duration::from_millis(pool.timeouts.connect_ms);
        let version = pool.proxy_protocol;
        let client = self.origin.peer.ip();
        let clue_of = |affinity: &Affinity| {
            affinity.clue_of_server_name(name).unwrap_or_else(|| affinity.clue_of_address(client))
        };
        let mut clue = affinity.map(clue_of).unwrap_or_default();
        let mut tried: Vec<EndpointId> = Vec::new();
        let mut lost = None;
        loop {
            let picked = self.pick(view, place, &mut clue, &tried);
            let lease = picked.map_err(|none| lost.unwrap_or_else(|| none.into()))?;
            tally.affinity = clue.told;
            let endpoint = Arc::clone(lease.endpoint());
            tally.endpoint = Some((endpoint.id(), endpoint.address()));
            let began = self.worker.now();
            let due = deadline.at(timeout);
            deadline.set_at(due);
            let introduction =
                version.map(|version| introduction(version, addresses(), self.origin.proxied.as_deref()));
            let opening = Opening {
                introduction: introduction.unwrap_or_default(),
                source: pool.source_for(client),
                target: view.target(&endpoint).map(Arc::clone),
                alpn: NO_ALPN,
            };
            let mut dialling = pin!(dial(self.worker, &endpoint, opening));
            let dialled = poll_fn(|cx| match dialling.as_mut().poll(cx) {
                Poll::Ready(dialled) => Poll::Ready(dialled),
                Poll::Pending if deadline.is_past(due) => Poll::Ready(Err(Failure::ConnectTimeout)),
                Poll::Pending => Poll::Pending,
            });
            let dialled = dialled.await;
            let took = self.worker.now().saturating_sub(began);
            tally.connect += took;
            lease.connected();
            match dialled {
                Ok(upstream) => {
                    self.observe(pool, &lease, Outcome::Success, took);
                    self.worker.stats.borrow_mut().upstream_opened(endpoint.id().0);
                    if let Some(affinity) = affinity {
                        let now = self.worker.now();
                        affinity.answered(&mut clue, Place::of(&endpoint), now);
                    }
                    return Ok((lease, upstream));
                }
                Err(failure) => {
                    if failure.side() == Side::Upstream {
                        self.observe(pool, &lease, Outcome::LocalOriginFailure, 0);
                    }
                    self.worker.stats.borrow_mut().endpoint_failure(endpoint.id().0, failure);
                    tried.push(endpoint.id());
                    if !pool.retry.connects_again(tried.len()) {
                        return Err(failure);
                    }
                    tally.is_resent = true;
                    lost = Some(failure);
                }
            }
        }
    }

    fn pick(
        &self,
        view: &View,
        place: usize,
        clue: &mut Clue,
        tried: &[EndpointId],
    ) -> Result<Lease, NoEndpoint> {
        let key = Some(HashKey::of_address(self.origin.peer.ip().to_canonical()));
        let now = self.worker.now();
        let mut picker = view.picker(place).borrow_mut();
        match view.snapshot.affinity(place) {
            Some(affinity) => pick(affinity, clue, &mut picker, Ask { key, tried, now }),
            None if tried.is_empty() => picker.pick(key, None, now),
            None => picker.pick_another(key, tried, now),
        }
    }

    /// What connecting says of an endpoint.
    fn observe(&self, pool: &Pool, lease: &Lease, outcome: Outcome, nanos: u64) {
        pool.observe(lease, outcome, nanos);
        pool.observe_latency(lease.endpoint(), outcome, nanos, || self.worker.now());
    }

    /// *Record*.
    fn record(&self, tally: &Tally) {
        let record = Record {
            listener: self.listener.id.0,
            route: NONE,
            pool: self.pool.as_ref().map_or(NONE, |(id, _)| id.0),
            endpoint: tally.endpoint.map_or(NONE, |(id, _)| id.0),
            status: 0,
            failure: tally.failure,
            bytes_in: tally.bytes.0,
            bytes_out: tally.bytes.1,
            queue_nanos: 0,
            connect_nanos: tally.connect,
            upstream_nanos: 0,
            total_nanos: self.worker.now().saturating_sub(tally.started),
            attempts: u32::from(tally.endpoint.is_some()) + u32::from(tally.is_resent),
            affinity: tally.affinity,
            grpc_status: None,
        };
        self.worker.stats.borrow_mut().record(&record);
        if let Some(mut line) = Line::unread(self.worker, &self.listener, self.origin.peer, "TCP") {
            if let Some(facts) = &tally.tls {
                line.tls(facts);
            }
            if let Some(name) = &tally.name {
                line.server_name(name);
            }
            let endpoint = tally.endpoint.map(|(_, address)| address);
            let names = Names { route: None, pool: self.pool.as_ref().map(|(_, name)| &**name), endpoint };
            line.finish(self.worker, &record, &names);
        }
    }
}

/// Whether the pool for connections of which nothing is known knows its clients by the name that they ask for.
fn knows_by_name(view: &View, routes: &Passthrough) -> bool {
    let place = routes.default().and_then(|pool| view.place(pool.id));
    let affinity = place.and_then(|place| view.snapshot.affinity(place));
    affinity.is_some_and(Affinity::is_by_server_name)
}
