//! TCP listeners: a connection is picked an endpoint and relayed to it, byte for byte.

use crate::access_log::{Line, Names};
use crate::io;
use crate::metrics::{NONE, Record};
use crate::permits::Permit;
use crate::tunnel::{Direction, End, Patience, relay};
use crate::upstream::{Upstream, dial};
use crate::worker::Worker;
use crate::worker::deadlines::Deadline;
use crate::worker::view::View;
use evenly_core::error::Failure;
use evenly_core::hash_key::HashKey;
use evenly_core::listener::{Listener, Service};
use evenly_core::pool::{EndpointId, Lease, NoEndpoint, Pool};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// What is counted of a connection.
struct Tally {
    started: Instant,
    connect: Duration,
    endpoint: Option<(EndpointId, SocketAddr)>,
    bytes: (u64, u64),
    is_resent: bool,
    failure: Option<Failure>,
}

/// Serves one client from its first byte to its last.
pub async fn serve(
    worker: Rc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    bind: SocketAddr,
    _permit: Permit,
) {
    let Some(view) = worker.view_of(bind) else { return };
    let Some(listener) = view.listener(bind).map(|(listener, _)| Arc::clone(listener)) else { return };
    let Service::Tcp(pool) = &listener.service else { return };
    let _open = worker.open(listener.id);
    let Some(view_pool) = view.place(pool.id) else { return };
    let mut tally = Tally {
        started: Instant::now(),
        connect: Duration::ZERO,
        endpoint: None,
        bytes: (0, 0),
        is_resent: false,
        failure: None,
    };
    let mut connection = Connection { worker: &worker, view, listener: &listener, pool: view_pool, peer };
    tally.failure = connection.relay(stream, &mut tally).await;
    connection.record(&tally);
}

/// What a connection's steps share.
struct Connection<'a> {
    worker: &'a Rc<Worker>,
    /// Pinned from the first byte to the last, as for a request.
    view: Rc<View>,
    listener: &'a Listener,
    pool: usize,
    peer: SocketAddr,
}

impl Connection<'_> {
    fn pool(&self) -> &Arc<Pool> {
        self.view.pool(self.pool)
    }

    /// *Pick*, *connect*, *relay*; why it ended, if not by both sides' will.
    async fn relay(&mut self, mut stream: TcpStream, tally: &mut Tally) -> Option<Failure> {
        let deadline = self.worker.deadlines.slot();
        poll_fn(|cx| {
            deadline.register(cx);
            Poll::Ready(())
        })
        .await;
        let (_lease, mut upstream) = match self.reach(&deadline, tally).await {
            Ok(reached) => reached,
            Err(failure) => {
                io::abort(stream);
                return Some(failure);
            }
        };
        let timeouts = &self.listener.timeouts;
        let patience = Patience { idle: timeouts.idle, half_close: timeouts.half_close, send: timeouts.send };
        let (mut up, mut down) = (Direction::new(None, Duration::MAX), Direction::new(None, patience.send));
        let sides = (&mut stream, &mut upstream.stream);
        let end = relay(sides, (&mut up, &mut down), &self.worker.buffers, &deadline, patience).await;
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
    async fn reach(&self, deadline: &Deadline, tally: &mut Tally) -> Result<(Lease, Upstream), Failure> {
        let mut lost: Option<(EndpointId, Failure)> = None;
        loop {
            let lease = self.pick(lost)?;
            let endpoint = Arc::clone(lease.endpoint());
            tally.endpoint = Some((endpoint.id(), endpoint.address()));
            let began = Instant::now();
            let due = deadline.at(Duration::from_millis(self.pool().timeouts.connect_ms));
            deadline.set_at(due);
            let mut dialling = pin!(dial(&endpoint, &self.worker.idle));
            let dialled = poll_fn(|cx| match dialling.as_mut().poll(cx) {
                Poll::Ready(dialled) => Poll::Ready(dialled.map_err(|_| Failure::ConnectFailed)),
                Poll::Pending if deadline.is_past(due) => Poll::Ready(Err(Failure::ConnectTimeout)),
                Poll::Pending => Poll::Pending,
            });
            let dialled = dialled.await;
            tally.connect += began.elapsed();
            match dialled {
                Ok(upstream) => {
                    self.worker.stats.borrow_mut().upstream_opened(endpoint.id().0);
                    return Ok((lease, upstream));
                }
                Err(failure) => {
                    self.worker.stats.borrow_mut().endpoint_failure(endpoint.id().0, failure);
                    if lost.is_some() {
                        return Err(failure);
                    }
                    tally.is_resent = true;
                    lost = Some((endpoint.id(), failure));
                }
            }
        }
    }

    fn pick(&self, lost: Option<(EndpointId, Failure)>) -> Result<Lease, Failure> {
        let key = Some(HashKey::of_address(self.peer.ip().to_canonical()));
        let now = self.worker.nanos(Instant::now());
        let picked = self.view.picker(self.pool).borrow_mut().pick(key, lost.map(|(id, _)| id), now);
        picked.map_err(|none: NoEndpoint| lost.map_or_else(|| none.into(), |(_, failure)| failure))
    }

    /// *Record*.
    fn record(&self, tally: &Tally) {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let record = Record {
            listener: self.listener.id.0,
            route: NONE,
            pool: self.pool().id.0,
            endpoint: tally.endpoint.map_or(NONE, |(id, _)| id.0),
            status: 0,
            failure: tally.failure,
            bytes_in: tally.bytes.0,
            bytes_out: tally.bytes.1,
            queue_nanos: 0,
            connect_nanos: nanos(tally.connect),
            upstream_nanos: 0,
            total_nanos: nanos(tally.started.elapsed()),
            attempts: 1 + u32::from(tally.is_resent),
        };
        self.worker.stats.borrow_mut().record(&record);
        if let Some(line) = Line::unread(self.worker, self.listener, self.peer, "TCP") {
            let endpoint = tally.endpoint.map(|(_, address)| address);
            let names = Names { route: None, pool: Some(&self.pool().name), endpoint };
            line.finish(self.worker, &record, &names);
        }
    }
}
