//! The dataplane: all workers and the service thread, as one thing that can be started, changed, asked and stopped.
//!
//! A change goes load → build → bind → swap. Whatever fails fails before the swap, and the running snapshot stays.

mod operator;
mod ports;

pub use operator::EndpointChange;

use crate::access_log::Log;
use crate::clock::Clock;
use crate::inheritance::{Inheritance, random_secret};
use crate::metrics::{self, Scene, WorkerStats};
use crate::permits::{ListenerPermits, Permits};
use crate::service::{Event, Events, Service};
use crate::sockets::BindError;
use crate::tls::{Originations, Terminations};
use crate::transparent;
use crate::worker::{self, Command, Configuration, WorkerHandle};
use evenly_core::document::{Document, DocumentError, Secret};
use evenly_core::listener::ListenerId;
use evenly_core::snapshot::{Changes, Snapshot, Warning};
use ports::{Ports, Share, is_udp};
use serde::Serialize;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{fmt, io};

/// How long a worker may take to answer. Workers answer between two turns of their connections, so more means that one
/// hangs; the caller goes on without it rather than hang with it.
const ANSWER: Duration = Duration::from_secs(5);

/// Workers, service thread, sockets, and the snapshot that they serve.
pub struct Dataplane {
    control: Mutex<Control>,
    permits: Arc<Permits>,
    /// Sessions of UDP listeners. Their number has a bound for each listener only: they hold no descriptor for each.
    sessions: Arc<Permits>,
    events: Arc<Events>,
    /// Signs affinity cookies where the configuration states no secret; lives as long as the process and its successors.
    secret: Secret,
    clock: Clock,
    is_draining: AtomicBool,
}

/// What only one caller at a time may change.
struct Control {
    snapshot: Arc<Snapshot>,
    /// It, and those before it that somebody still held when it came.
    snapshots: Vec<Weak<Snapshot>>,
    ports: Ports,
    /// Whether a successor has got duplicates of the sockets.
    has_successor: bool,
    permits: HashMap<ListenerId, Arc<ListenerPermits>>,
    terminations: Terminations,
    originations: Originations,
    workers: Vec<WorkerHandle>,
    /// `None` once stopped.
    service: Option<Service>,
}

/// Why a configuration was not taken over.
#[derive(Debug)]
pub enum ApplyError {
    /// The document is wrong.
    Document(DocumentError),
    /// An address could not be bound.
    Bind(BindError),
    /// The system refused something else (threads, descriptors).
    Io(io::Error),
}

/// What a swap changed, with remarks on the new configuration.
#[derive(Debug, Serialize)]
pub struct Applied {
    #[serde(flatten)]
    changes: Changes,
    warnings: Vec<Warning>,
}

impl Dataplane {
    /// Starts serving.
    ///
    /// # Errors
    /// The document is wrong, an address cannot be bound, or the system refuses a thread.
    pub fn start(
        document: &str,
        inherited: Vec<(SocketAddr, Vec<OwnedFd>)>,
        health: &str,
    ) -> Result<Self, ApplyError> {
        let clock = Clock::start();
        let inheritance = Inheritance::from_text(health);
        let secret = inheritance.secret().map_or_else(random_secret, Ok)?;
        let mut snapshot = Snapshot::build(parse(document, &secret)?, None)?;
        transparent::check(&snapshot)?;
        let events = Arc::new(Events::default());
        let terminations = Terminations::build(&snapshot.document, &secret, &events, None)?;
        let originations = Originations::build(&snapshot, &terminations, None, &events)?;
        inheritance.settle(&mut snapshot);
        let snapshot = Arc::new(snapshot);
        let permits = Arc::new(Permits::default());
        let sessions = Arc::new(Permits::default());
        sessions.limit(u32::MAX);
        let quic_secret = inheritance.quic_secret(snapshot.document.session_tickets.secret.as_ref(), &secret);
        let mut control = Control {
            snapshot: Arc::clone(&snapshot),
            ports: Ports::new(quic_secret, inheritance.quic_generation()),
            snapshots: vec![Arc::downgrade(&snapshot)],
            has_successor: false,
            permits: HashMap::new(),
            terminations,
            originations,
            workers: Vec::new(),
            service: Some(Service::start(Arc::clone(&events), clock)?),
        };
        for (zone, left) in inheritance.evacuated() {
            control.service().zones().evacuate(zone, left, &snapshot.pools);
        }
        control.ports.adopt(inherited, &snapshot)?;
        let workers = usize::from(snapshot.document.workers);
        let shares = control.ports.bind(&snapshot, workers, None)?;
        control.ports.retain(&snapshot);
        control.limit(&snapshot, &permits, &sessions);
        control.service().open_log(&snapshot);
        for (index, share) in shares.into_iter().enumerate() {
            let configuration = control.configuration(&snapshot, share);
            control.workers.push(worker::start(index, seed(), clock, configuration)?);
        }
        control.check(&snapshot);
        let control = Mutex::new(control);
        Ok(Self { control, permits, sessions, events, secret, clock, is_draining: AtomicBool::new(false) })
    }

    /// Builds a document without running it; the remarks on it.
    ///
    /// # Errors
    /// The document is wrong.
    pub fn check(document: &str) -> Result<Vec<Warning>, DocumentError> {
        // Only whether there is a secret matters here.
        let secret = Secret("0".repeat(32));
        let snapshot = Snapshot::build(parse(document, &secret)?, None)?;
        let events = Arc::default();
        let terminations = Terminations::build(&snapshot.document, &secret, &events, None)?;
        Originations::build(&snapshot, &terminations, None, &events)?;
        Ok(snapshot.warnings())
    }

    /// Swaps the configuration. On any error the running one stays.
    ///
    /// `health` says of endpoints that this document brings what an operator had set of them earlier, so that none gets
    /// a request first; of those that run already it must be silent, because they are shared with what runs until then.
    ///
    /// # Errors
    /// The document is wrong or an address cannot be bound.
    pub fn apply(&self, document: &str, health: &str) -> Result<Applied, ApplyError> {
        let mut control = self.control();
        let running = Arc::clone(&control.snapshot);
        let mut snapshot = Snapshot::build(parse(document, &self.secret)?, Some(&running))?;
        transparent::check(&snapshot)?;
        Inheritance::from_text(health).settle(&mut snapshot);
        let snapshot = Arc::new(snapshot);
        let before = Some(&control.terminations);
        let terminations = Terminations::build(&snapshot.document, &self.secret, &self.events, before)?;
        let before = Some(&control.originations);
        let originations = Originations::build(&snapshot, &terminations, before, &self.events)?;
        let workers = control.workers.len();
        let shares = control.ports.bind(&snapshot, workers, Some(&running))?;
        control.terminations = terminations;
        control.originations = originations;
        control.limit(&snapshot, &self.permits, &self.sessions);
        control.ports.hold_off(&snapshot);
        control.service().zones().mark(&snapshot.pools);
        let (done, answers) = sync_channel(workers);
        control.service().open_log(&snapshot);
        for (index, share) in shares.into_iter().enumerate() {
            let configuration = control.configuration(&snapshot, share);
            control.workers[index].send(Command::Apply(Box::new(configuration), done.clone()));
        }
        drop(done);
        let deadline = Instant::now() + ANSWER;
        for _ in 0..workers {
            let _ = answers.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
        control.check(&snapshot);
        control.ports.retain(&snapshot);
        let mut warnings = snapshot.warnings();
        if usize::from(snapshot.document.workers) != workers {
            let message =
                format!("{workers} workers go on running; the new number holds from the next upgrade on");
            warnings.push(Warning { path: "workers".into(), message });
        }
        control.snapshot = Arc::clone(&snapshot);
        control.snapshots.retain(is_held);
        control.snapshots.push(Arc::downgrade(&snapshot));
        Ok(Applied { changes: snapshot.changes(&running), warnings })
    }

    /// Listeners, pools, endpoints and totals, as JSON.
    pub fn status(&self) -> String {
        self.told(|scene, stats| metrics::status(scene, stats).to_string())
    }

    /// All metrics, in Prometheus' text format.
    pub fn metrics(&self) -> String {
        self.told(|scene, stats| {
            let mut out = String::new();
            metrics::render(&mut out, scene, stats);
            out
        })
    }

    /// Waits for events, at most so long.
    pub fn events(&self, timeout: Duration) -> Vec<Event> {
        self.events.wait(timeout)
    }

    /// A name that was told as an event has a certificate by now, or gets none: who waits for it goes on.
    pub fn settle_name(&self, name: &str) {
        self.control().terminations.demand().settle(name);
    }

    /// Duplicates of the listening sockets, for a successor.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn sockets(&self) -> io::Result<Vec<(SocketAddr, Vec<OwnedFd>)>> {
        let mut control = self.control();
        let (all, mut channels) = control.ports.duplicates()?;
        for worker in &control.workers {
            worker.send(Command::Succeeded(std::mem::take(&mut channels)));
        }
        control.has_successor = true;
        Ok(all)
    }

    /// All endpoints' states, affinity's tables, the secret of cookies and the evacuated zones, for a successor.
    pub fn health(&self) -> String {
        let control = self.control();
        let now = self.clock.now();
        let evacuated = control.service().zones().evacuated();
        Inheritance::of(&control.snapshot, &self.secret, now)
            .with_evacuated(evacuated)
            .behind(control.ports.generation(), control.ports.secret())
            .to_text()
    }

    /// Opens the access log anew, after it was moved away.
    pub fn reopen_logs(&self) {
        self.control().service().logs().reopen();
    }

    /// Stops accepting, and lets connections end after what is under way on them.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
        let mut control = self.control();
        let has_successor = control.has_successor;
        control.workers.iter().for_each(|worker| worker.send(Command::Drain(has_successor)));
        // As long as one descriptor of a socket is open, the kernel goes on taking connections for it. A successor has
        // descriptors of its own.
        control.ports.close();
        if has_successor {
            // It checks endpoints itself; what is under way here has its endpoints.
            control.service().rest();
        }
    }

    /// Client connections that are open, and UDP sessions that are not over.
    pub fn connections(&self) -> u32 {
        self.permits.open() + self.sessions.open()
    }

    /// Ends every connection and thread; returns when they are gone. Whoever stopped first has done it.
    pub fn stop(&self) {
        let mut control = self.control();
        let workers = std::mem::take(&mut control.workers);
        workers.iter().for_each(|worker| worker.send(Command::Stop));
        workers.into_iter().for_each(WorkerHandle::join);
        control.ports.close();
        // Whoever waits for events would otherwise wait out its time.
        self.events.close();
        if let Some(service) = control.service.take() {
            service.stop();
        }
    }

    /// Hands the sums of all workers and what they belong to over to whoever tells them.
    fn told(&self, tell: impl FnOnce(&Scene<'_>, &WorkerStats) -> String) -> String {
        let control = self.control();
        let (reply, answers) = sync_channel(control.workers.len());
        control.workers.iter().for_each(|worker| worker.send(Command::Stats(reply.clone())));
        drop(reply);
        let deadline = Instant::now() + ANSWER;
        let mut sum = WorkerStats::default();
        while let Ok(stats) = answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            sum.merge(&stats);
        }
        let scene = Scene {
            snapshot: &control.snapshot,
            snapshots: control.snapshots.iter().filter(|one| is_held(one)).count(),
            targets: control.originations.targets(),
            terminations: control.terminations.listeners(),
            service: control.service.as_ref(),
            connections: self.permits.open(),
            workers: control.workers.len(),
            uptime: Duration::from_nanos(self.clock.now()),
            is_draining: self.is_draining.load(Ordering::Relaxed),
            local: &|bind| control.ports.local(bind),
        };
        tell(&scene, &sum)
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        // A caller that panicked left nothing half done that a next one could not see: changes end with one store.
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control {
    /// Counts and limits for the listeners of a snapshot; those that stay keep their count.
    fn limit(&mut self, snapshot: &Snapshot, all: &Arc<Permits>, sessions: &Arc<Permits>) {
        all.limit(snapshot.document.max_connections);
        // A name that changes between streams and datagrams is another listener.
        self.permits.retain(|id, kept| {
            let listener = snapshot.listeners.iter().find(|listener| listener.id == *id);
            listener.is_some_and(|one| kept.belongs_to(if is_udp(one) { sessions } else { all }))
        });
        for listener in &snapshot.listeners {
            let most = listener.max_connections;
            let of = if is_udp(listener) { sessions } else { all };
            let new = || ListenerPermits::new(most, Arc::clone(of));
            self.permits.entry(listener.id).or_insert_with(new).limit(most);
        }
    }

    /// One worker's configuration.
    fn configuration(&self, snapshot: &Arc<Snapshot>, share: Share) -> Configuration {
        let permits =
            snapshot.listeners.iter().map(|listener| Arc::clone(&self.permits[&listener.id])).collect();
        let log = snapshot
            .document
            .access_log
            .as_ref()
            .map(|log| Log { format: log.format, ring: self.service().logs().ring(log.ring_bytes as usize) });
        let terminations = self.terminations.listeners().to_vec();
        let (snapshot, targets) = (Arc::clone(snapshot), Arc::clone(self.originations.targets()));
        let Share { sockets, datagrams, quic } = share;
        Configuration { snapshot, permits, terminations, targets, sockets, datagrams, quic, log }
    }

    /// Has the endpoints of a snapshot checked from now on.
    fn check(&self, snapshot: &Arc<Snapshot>) {
        self.service().apply(Arc::clone(snapshot), Arc::clone(self.originations.targets()));
    }

    fn service(&self) -> &Service {
        self.service.as_ref().expect("only stop() takes it, and nothing is asked after that")
    }
}

impl Drop for Dataplane {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether a snapshot is in memory.
fn is_held(snapshot: &Weak<Snapshot>) -> bool {
    snapshot.strong_count() > 0
}

/// Reads a document; where it states no secret for affinity, the process's own is used.
fn parse(document: &str, secret: &Secret) -> Result<Document, DocumentError> {
    let mut document = Document::parse(document)?;
    document.affinity.or(secret);
    Ok(document)
}

/// A number that differs between workers, nodes and starts: the keys that the standard library draws from the system.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl From<DocumentError> for ApplyError {
    fn from(error: DocumentError) -> Self {
        Self::Document(error)
    }
}

impl From<BindError> for ApplyError {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}

impl From<io::Error> for ApplyError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document(error) => error.fmt(f),
            Self::Bind(BindError { address, error }) => write!(f, "cannot listen on {address}: {error}"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ApplyError {}
