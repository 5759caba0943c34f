//! Turning a connection away: counted, logged, and ended as the listener says.

use crate::access_log::{Line, Names};
use crate::io;
use crate::metrics::{NONE, Record};
use crate::worker::Worker;
use evenly_core::document::OnDeny;
use evenly_core::error::Failure;
use evenly_core::listener::Listener;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a connection is kept in the tarpit: about what a scanner's own patience is, so that it waits in vain for most of it.
const TARPIT: Duration = Duration::from_secs(30);

/// Connections that one worker keeps there. Each costs a descriptor and a few KiB in the kernel; those beyond are reset.
const TARPIT_PLACES: u32 = 1024;

/// How many connections a worker keeps waiting for nothing.
pub struct Tarpit {
    held: Cell<u32>,
    places: u32,
}

/// A place in it.
struct Held(Rc<Worker>);

impl Tarpit {
    /// Empty, with places for at most a sixteenth of the `descriptors` that a worker may use.
    pub fn new(descriptors: usize) -> Self {
        let share = u32::try_from(descriptors / 16).unwrap_or(u32::MAX);
        Self { held: Cell::new(0), places: TARPIT_PLACES.min(share) }
    }
}

impl Held {
    fn new(worker: &Rc<Worker>) -> Option<Self> {
        let Tarpit { held, places } = &worker.tarpit;
        if held.get() >= *places {
            return None;
        }
        held.set(held.get() + 1);
        Some(Self(Rc::clone(worker)))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let held = &self.0.tarpit.held;
        held.set(held.get() - 1);
    }
}

/// Ends a connection that is not served.
pub fn refuse(
    worker: &Rc<Worker>,
    listener: &Listener,
    stream: TcpStream,
    peer: SocketAddr,
    failure: Failure,
) {
    tell(worker, listener, (peer, "TCP"), failure);
    // Who should be a proxy and is not, or is none and should be, is a mistake that shows best as a reset.
    let is_denied = matches!(failure, Failure::ClientDenied | Failure::ClientLimit | Failure::TlsLimit);
    match listener.on_deny {
        OnDeny::Drop if is_denied => vanish(stream),
        OnDeny::Tarpit if is_denied => detain(worker, stream),
        OnDeny::Reset | OnDeny::Drop | OnDeny::Tarpit => io::abort(stream),
    }
}

/// Counts and logs a connection that came to nothing; and what it speaks, as far as that is known.
pub fn tell(
    worker: &Rc<Worker>,
    listener: &Listener,
    (peer, protocol): (SocketAddr, &str),
    failure: Failure,
) {
    worker.stats.borrow_mut().turned_away(listener.id.0, failure);
    log(worker, listener, (peer, protocol), failure);
}

/// Ends the connection without the client's knowledge: the reset that closing sends does not get past the first router.
/// A client in the same network does get it.
fn vanish(stream: TcpStream) {
    let socket = socket2::SockRef::from(&stream);
    // A dual-stack socket goes by either, so both are set; the one that does not apply fails.
    let _ = socket.set_ttl_v4(1);
    let _ = socket.set_unicast_hops_v6(1);
    io::abort(stream);
}

/// Leaves the client waiting; what it sends stays in the kernel's queue until that is full.
fn detain(worker: &Rc<Worker>, stream: TcpStream) {
    let Some(place) = Held::new(worker) else {
        worker.stats.borrow_mut().tarpit_full();
        return io::abort(stream);
    };
    let sleep = worker.alarm.sleep(TARPIT);
    tokio::task::spawn_local(async move {
        sleep.await;
        io::abort(stream);
        drop(place);
    });
}

fn log(worker: &Rc<Worker>, listener: &Listener, (peer, protocol): (SocketAddr, &str), failure: Failure) {
    let Some(line) = Line::unread(worker, listener, peer, protocol) else { return };
    let record = Record {
        listener: listener.id.0,
        route: NONE,
        pool: NONE,
        endpoint: NONE,
        status: 0,
        failure: Some(failure),
        bytes_in: 0,
        bytes_out: 0,
        queue_nanos: 0,
        connect_nanos: 0,
        upstream_nanos: 0,
        total_nanos: 0,
        attempts: 0,
        affinity: evenly_core::affinity::Told::default(),
        grpc_status: None,
    };
    line.finish(worker, &record, &Names { route: None, pool: None, endpoint: None });
}
