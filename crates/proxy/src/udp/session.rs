//! What a relay keeps with a session, and what it records at its end.

use super::trial::Trial;
use crate::access_log::{Line, Names};
use crate::metrics::{NONE, Record};
use crate::permits::Permit;
use crate::worker::{Open, Worker};
use evenly_core::affinity::Told;
use evenly_core::listener::Listener;
use evenly_core::pool::{Lease, Pool};
use evenly_core::sessions::Session;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

/// The relay's part of a session.
pub struct Carried {
    /// Counts the session at its endpoint.
    pub lease: Lease,
    /// The address that its datagrams come from, if it is not the node's own.
    pub source: Option<IpAddr>,
    /// The PROXY protocol header of every datagram, if the endpoint gets one.
    pub header: Option<Box<[u8]>>,
    /// The snapshot for which the endpoint is known to be in the pool.
    pub generation: u64,
    /// Since when there is this session.
    pub started: Instant,
    /// Bytes from and to the client.
    pub bytes: (u64, u64),
    /// What it finds out about the endpoint.
    pub trial: Trial,
    /// What became of its client's affinity when it began.
    pub affinity: Told,
    /// Count it on the listener, and against the limits.
    pub _counted: (Open, Permit),
}

/// Counts a session that ended and writes its line.
pub fn record(worker: &Rc<Worker>, listener: &Listener, pool: &Pool, session: &Session<Carried>) {
    let Carried { lease, bytes, started, trial, affinity, .. } = &session.with;
    let record = Record {
        listener: listener.id.0,
        route: NONE,
        pool: pool.id.0,
        endpoint: lease.endpoint().id().0,
        status: 0,
        failure: trial.failure().filter(|_| bytes.1 == 0),
        bytes_in: bytes.0,
        bytes_out: bytes.1,
        queue_nanos: 0,
        connect_nanos: 0,
        upstream_nanos: 0,
        total_nanos: u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX),
        attempts: 1,
        affinity: *affinity,
        grpc_status: None,
    };
    worker.stats.borrow_mut().record(&record);
    if let Some(line) = Line::unread(worker, listener, session.flow.client, "UDP") {
        let names = Names { route: None, pool: Some(&pool.name), endpoint: Some(session.endpoint) };
        line.finish(worker, &record, &names);
    }
}
