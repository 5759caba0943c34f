//! A worker: one thread, one tokio runtime, and everything that its connections share without a lock.
//!
//! Workers know nothing of one another. The dataplane talks to them through [`Command`]s; they answer on channels.
//! Start at [`start`], then read `http/connection.rs` or `tcp.rs` for what a connection does.

pub mod accept;
pub mod alarm;
pub mod buffers;
pub mod deadlines;
pub mod mirrors;
pub mod view;

use crate::access_log::Log;
use crate::arrival::Tarpit;
use crate::clock::Clock;
use crate::compress::Coders;
use crate::http::{Handlers, Passwords, SharedConnections};
use crate::metrics::WorkerStats;
use crate::permits::ListenerPermits;
use crate::quic::{Channel, Endpoints, Share};
use crate::tls::{Targets, Termination};
use crate::udp::Relays;
use crate::upstream::IdleConnections;
use accept::Acceptors;
use alarm::Alarm;
use buffers::Buffers;
use deadlines::{Deadlines, TICK};
use evenly_core::circuit::Permit;
use evenly_core::listener::ListenerId;
use evenly_core::pool::{Nanos, Pool};
use evenly_core::random::Random;
use evenly_core::snapshot::Snapshot;
use mirrors::Mirrors;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::{io, thread};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use view::View;

/// Ticks between two sweeps of idle upstream connections: one second.
const TICKS_PER_SWEEP: u32 = 20;

/// For how long a listener's last view is kept after a reload took it away. Its idle connections end within a second;
/// those with something long under way are served no further request after that.
const RETIRED: Nanos = 60_000_000_000;

/// What the dataplane asks of a worker. The queue is unbounded, but every sender waits for its answer.
pub enum Command {
    /// Serve this snapshot from now on.
    Apply(Box<Configuration>, SyncSender<()>),
    /// Hand over a copy of the statistics.
    Stats(SyncSender<WorkerStats>),
    /// A successor gets the same sockets; where there are such ways, this worker takes what it passes on.
    Succeeded(Vec<(SocketAddr, Channel)>),
    /// Stop accepting and end connections after what is under way on them. `true` if a successor has the same sockets.
    Drain(bool),
    /// End at once.
    Stop,
}

/// All that a worker needs to serve a snapshot.
pub struct Configuration {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// One for each of the snapshot's listeners, in order.
    pub permits: Vec<Arc<ListenerPermits>>,
    /// How TLS is terminated; likewise.
    pub terminations: Vec<Option<Termination>>,
    /// How TLS is spoken with endpoints.
    pub targets: Targets,
    /// This worker's listening sockets that it does not have yet.
    pub sockets: Vec<(SocketAddr, TcpListener)>,
    /// The same for datagrams.
    pub datagrams: Vec<(SocketAddr, UdpSocket)>,
    /// The same for HTTP/3, with the worker's seat at each address.
    pub quic: Vec<Share>,
    /// Where access-log lines go; `None` when there is no access log.
    pub log: Option<Log>,
}

/// A running worker, as the dataplane holds it.
pub struct WorkerHandle {
    commands: UnboundedSender<Command>,
    thread: thread::JoinHandle<()>,
}

impl WorkerHandle {
    /// Sends a command; a worker that is gone ignores it.
    pub fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Waits until the thread has ended.
    pub fn join(self) {
        let _ = self.thread.join();
    }
}

/// What a worker's connections share.
pub struct Worker {
    /// Lent to whoever has something to read or to render.
    pub buffers: Rc<Buffers>,
    /// Lent to whoever has a request under way.
    pub handlers: Handlers,
    /// Lent to responses that are compressed.
    pub coders: Rc<Coders>,
    /// What is known of passwords.
    pub passwords: Passwords,
    /// Woken when due.
    pub deadlines: Rc<Deadlines>,
    /// For the few who wait for a moment and nothing else.
    pub alarm: Rc<Alarm>,
    /// Idle connections to endpoints.
    pub idle: IdleConnections,
    /// Connections to endpoints that requests share.
    pub shared: SharedConnections,
    /// Copies of requests under way.
    pub mirrors: Rc<Mirrors>,
    /// Counters of this worker alone.
    pub stats: RefCell<WorkerStats>,
    /// For choices that need no secret.
    pub random: RefCell<Random>,
    /// The access log, when there is one.
    pub log: RefCell<Option<Log>>,
    /// Connections that are kept waiting for nothing.
    pub tarpit: Tarpit,
    /// No new work: connections end after what is under way.
    draining: Cell<bool>,
    view: RefCell<Rc<View>>,
    /// By address: the last view of listeners that a reload took away, for their connections' last requests.
    retired: RefCell<FxHashMap<SocketAddr, Retired>>,
    /// The beginning of the worker's time, for the balancers' nanoseconds. Equal for all workers.
    clock: Clock,
}

impl Worker {
    /// The snapshot to serve a request with, from its first step to its last.
    pub fn pin(&self) -> Rc<View> {
        Rc::clone(&self.view.borrow())
    }

    /// The view to serve connections of an address with: the current one, or the last that had a listener there.
    pub fn view_of(&self, bind: SocketAddr) -> Option<Rc<View>> {
        let view = self.pin();
        if view.listener(bind).is_some() {
            return Some(view);
        }
        self.retired.borrow().get(&bind).map(|retired| Rc::clone(&retired.view))
    }

    /// Whether connections of an address are to end after what is under way on them.
    pub fn is_leaving(&self, bind: SocketAddr) -> bool {
        self.draining.get() || self.retired.borrow().contains_key(&bind)
    }

    /// Whether nothing new is begun.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// The time.
    #[inline]
    pub fn now(&self) -> Nanos {
        self.clock.now()
    }

    /// The pool that takes a request of another or of its own, and counts it if it is another's; where that was a choice, with
    /// what its circuit has let the request in with. See [`View::taking`].
    #[inline]
    pub fn taking(&self, view: &View, pool: usize, started: Nanos) -> (usize, Option<Permit>) {
        if view.snapshot.fallbacks[pool].is_none() {
            return (pool, None);
        }
        let (taking, permit) = view.taking(pool, started);
        if taking != pool {
            self.stats.borrow_mut().pool_fell_back(view.pool(pool).id.0);
        }
        (taking, permit)
    }

    /// Lets a request, or a connection, come to a pool; counted if its circuit is open.
    #[inline]
    pub fn enter(&self, pool: &Pool) -> Option<Permit> {
        let permit = pool.enter();
        if permit.is_none() {
            self.stats.borrow_mut().circuit_rejected(pool.id.0);
        }
        permit
    }

    /// Counts a connection of a listener in, and out when the guard goes, however its task ends.
    pub fn open(self: &Rc<Self>, listener: ListenerId) -> Open {
        self.stats.borrow_mut().connection_opened(listener.0);
        Open { worker: Rc::clone(self), listener }
    }

    fn apply(&self, configuration: Configuration) {
        let previous = self.pin();
        let since = self.now();
        let Configuration { snapshot, permits, terminations, targets, log, .. } = configuration;
        let tls = (terminations, targets);
        let view = View::new(snapshot, permits, tls, Some(&previous), &mut self.random.borrow_mut());
        self.stats.borrow_mut().retain(&view.snapshot);
        let mut retired = self.retired.borrow_mut();
        retired.retain(|bind, _| view.listener(*bind).is_none());
        let gone = previous.binds().filter(|bind| view.listener(*bind).is_none());
        retired.extend(gone.map(|bind| (bind, Retired { view: Rc::clone(&previous), since })));
        drop(retired);
        self.view.replace(Rc::new(view));
        self.log.replace(log);
    }
}

/// The last view of a listener that is gone.
struct Retired {
    view: Rc<View>,
    since: Nanos,
}

/// A counted connection.
pub struct Open {
    worker: Rc<Worker>,
    listener: ListenerId,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.worker.stats.borrow_mut().connection_closed(self.listener.0);
    }
}

/// Starts a worker thread.
///
/// # Errors
/// The thread or its runtime cannot be made (descriptors, memory).
pub fn start(index: usize, seed: u64, clock: Clock, first: Configuration) -> io::Result<WorkerHandle> {
    let (commands, inbox) = unbounded_channel();
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let thread = thread::Builder::new().name(format!("evenly-worker-{index}")).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            // Only passwords are verified there.
            .max_blocking_threads(1)
            .on_thread_start(give_way)
            .build_local(tokio::runtime::LocalOptions::default());
        match runtime {
            Ok(runtime) => runtime.block_on(async {
                match Alarm::new() {
                    Ok(alarm) => {
                        let _ = ready.send(Ok(()));
                        run(alarm, seed, clock, first, inbox).await;
                    }
                    Err(error) => {
                        let _ = ready.send(Err(error));
                    }
                }
            }),
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    })?;
    started.recv().unwrap_or_else(|_| Err(io::Error::other("the worker thread ended at its start")))?;
    Ok(WorkerHandle { commands, thread })
}

async fn run(
    alarm: Alarm,
    seed: u64,
    clock: Clock,
    first: Configuration,
    mut inbox: UnboundedReceiver<Command>,
) {
    let mut random = Random::new(seed);
    let Configuration { snapshot, permits, terminations, targets, sockets, datagrams, quic, log } = first;
    let most_idle = most_idle(snapshot.document.workers);
    let view = View::new(snapshot, permits, (terminations, targets), None, &mut random);
    let worker = Rc::new(Worker {
        buffers: Rc::default(),
        handlers: Handlers::default(),
        coders: Rc::default(),
        passwords: Passwords::new(),
        deadlines: Rc::default(),
        alarm: Rc::new(alarm),
        idle: IdleConnections::new(most_idle),
        shared: SharedConnections::default(),
        mirrors: Rc::default(),
        stats: RefCell::default(),
        random: RefCell::new(random),
        log: RefCell::new(log),
        tarpit: Tarpit::new(most_idle),
        draining: Cell::new(false),
        view: RefCell::new(Rc::new(view)),
        retired: RefCell::default(),
        clock,
    });
    let mut acceptors = Acceptors::default();
    acceptors.update(&worker, sockets);
    let mut relays = Relays::new(most_idle);
    relays.update(&worker, datagrams);
    let mut endpoints = Endpoints::new();
    endpoints.update(&worker, quic);
    tokio::task::spawn_local(Rc::clone(&worker.alarm).ring());
    tokio::task::spawn_local(tick(Rc::clone(&worker)));
    while let Some(command) = inbox.recv().await {
        match command {
            Command::Apply(mut configuration, done) => {
                let sockets = std::mem::take(&mut configuration.sockets);
                let datagrams = std::mem::take(&mut configuration.datagrams);
                let quic = std::mem::take(&mut configuration.quic);
                worker.apply(*configuration);
                acceptors.update(&worker, sockets);
                relays.update(&worker, datagrams);
                endpoints.update(&worker, quic);
                let _ = done.send(());
            }
            Command::Stats(reply) => {
                let _ = reply.send(worker.stats.borrow().clone());
            }
            Command::Succeeded(channels) => endpoints.succeeded(channels),
            Command::Drain(has_successor) => {
                worker.draining.set(true);
                relays.drain(has_successor);
                endpoints.drain(has_successor);
                acceptors.close(&worker);
                worker.deadlines.wake_all();
            }
            Command::Stop => {
                endpoints.close();
                break;
            }
        }
    }
    worker.idle.clear();
    // Returning drops the runtime, and with it every connection's task.
}

/// Idle upstream connections that a worker may keep: all workers together a quarter of the descriptors, since half of
/// them are for clients and each busy client needs one to its endpoint.
fn most_idle(workers: u16) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let quarter = limit.map_or(usize::MAX, |limit| usize::try_from(limit / 4).unwrap_or(usize::MAX));
    quarter / usize::from(workers.max(1))
}

/// Lets the workers go first: on Linux niceness belongs to the thread.
fn give_way() {
    // Without it verifying is as good, only less polite.
    let _ = rustix::process::nice(10);
}

async fn tick(worker: Rc<Worker>) {
    let mut ticks: u32 = 0;
    loop {
        // After a stall the missed ticks are of no use: time went on for the peers as well.
        worker.alarm.sleep(TICK).await;
        worker.deadlines.tick();
        ticks = ticks.wrapping_add(1);
        if ticks.is_multiple_of(TICKS_PER_SWEEP) {
            let view = worker.pin();
            let now = worker.now();
            worker.idle.sweep(now, |id| view.has_endpoint(id));
            worker.shared.sweep(|id| view.has_endpoint(id));
            worker.retired.borrow_mut().retain(|_, retired| now.saturating_sub(retired.since) < RETIRED);
        }
    }
}
