//! What the workers never see: health checks on one thread, the access log's writer on another, and the events for the
//! control plane.
//!
//! * [`Service::start`] makes the threads; [`Service::apply`] hands them each new snapshot.
//! * `prober.rs` decides when which endpoint is checked, `check.rs` does one check, `probe/` knows the kinds of checks.
//! * [`Checks`] is what they found, for status and metrics; [`Events`] tells of changes.
//! * `judges.rs` judges endpoints by live traffic; the workers only leave counters behind.
//! * [`Zones`] are the evacuated ones, each until its time is over.
//! * `circuits.rs` sweeps the circuit breakers of pools and endpoints, and adaptive limits.
//! * `log_writer/` moves lines from the workers' rings into the access log.
//!
//! The health state machine itself is `evenly_core::health`: it decides, this module does.

mod check;
mod checks;
mod circuits;
mod events;
mod judges;
mod log_writer;
mod probe;
mod prober;
mod zones;

pub use checks::{Checks, EndpointChecks, LastCheck};
pub use events::{Event, Events, Level, Subject, unix_seconds};
pub use log_writer::{LogHandle, LogRing, LogTotals};
pub use probe::{CheckFailure, Step};
pub use zones::Zones;

use crate::clock::Clock;
use crate::tls::Targets;
use circuits::Circuits;
use evenly_core::snapshot::Snapshot;
use judges::Judges;
use log_writer::LogWriter;
use prober::Prober;
use std::rc::Rc;
use std::sync::Arc;
use std::{io, thread};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zones::EXPIRY_TICK;

/// The running service threads.
pub struct Service {
    /// Closing it ends the thread. Unbounded, as reloads are few and none may be lost.
    orders: UnboundedSender<Order>,
    thread: thread::JoinHandle<()>,
    log: LogWriter,
    checks: Arc<Checks>,
    zones: Arc<Zones>,
    events: Arc<Events>,
}

/// What the thread is told.
enum Order {
    /// A configuration runs.
    Check(Arc<Snapshot>, Targets),
    /// Checks are somebody else's.
    Rest,
}

impl Service {
    /// Starts the threads; they idle until the first [`Service::apply`]. `clock` is the workers'.
    ///
    /// # Errors
    /// A thread or its runtime cannot be made (descriptors, memory).
    pub fn start(events: Arc<Events>, clock: Clock) -> io::Result<Self> {
        let log = LogWriter::start(Arc::clone(&events))?;
        let checks = Arc::<Checks>::default();
        let (orders, inbox) = unbounded_channel();
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let (found, told) = (Arc::clone(&checks), Arc::clone(&events));
        let zones = Arc::new(Zones::new(clock, Arc::clone(&events)));
        let (watched, swept) = (Arc::clone(&zones), Arc::clone(&events));
        let thread = thread::Builder::new().name("evenly-service".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .enable_time()
                .build_local(tokio::runtime::LocalOptions::default());
            match runtime {
                Ok(runtime) => {
                    let _ = ready.send(Ok(()));
                    let judges = Judges::new(clock, Arc::clone(&found), Arc::clone(&told));
                    runtime.block_on(run(
                        Rc::new(Prober::new(found, told)),
                        Rc::new(judges),
                        (&watched, &Circuits::new(clock, swept)),
                        inbox,
                    ));
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        })?;
        started.recv().unwrap_or_else(|_| Err(io::Error::other("the service thread ended at its start")))?;
        Ok(Self { orders, thread, log, checks, zones, events })
    }

    /// Opens the access log of `snapshot`, if it has one. To be called before its workers have rings, or lines that they
    /// write at once would find no log and be dropped.
    pub fn open_log(&self, snapshot: &Snapshot) {
        if let Some(log) = &snapshot.document.access_log {
            self.log.handle().write_to(Some(log.path.as_str()));
        }
    }

    /// Checks the endpoints of `snapshot`, and no others, from now on, with TLS as `targets` have it, and writes its
    /// access log.
    pub fn apply(&self, snapshot: Arc<Snapshot>, targets: Targets) {
        self.log.handle().write_to(snapshot.document.access_log.as_ref().map(|log| log.path.as_str()));
        let members = snapshot.pools.iter().flat_map(|pool| &pool.members);
        self.checks.retain(members.map(|member| member.endpoint.id()));
        // A thread that is gone has ended with a panic, which was reported; traffic flows on without checks.
        let _ = self.orders.send(Order::Check(snapshot, targets));
    }

    /// Checks nothing any more: a successor does.
    pub fn rest(&self) {
        let _ = self.orders.send(Order::Rest);
    }

    /// The access log's writer, for the workers' rings, rotation and totals.
    pub fn logs(&self) -> LogHandle {
        self.log.handle().clone()
    }

    /// What the health checks found.
    pub fn checks(&self) -> Arc<Checks> {
        Arc::clone(&self.checks)
    }

    /// The evacuated zones.
    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    /// Events that were lost because nobody took them.
    pub fn events_dropped(&self) -> u64 {
        self.events.dropped()
    }

    /// Ends the checks, writes what is left of the access log, and returns when both threads are gone.
    pub fn stop(self) {
        drop(self.orders);
        let _ = self.thread.join();
        self.log.stop();
    }
}

async fn run(
    prober: Rc<Prober>,
    judges: Rc<Judges>,
    (zones, circuits): (&Zones, &Circuits),
    mut orders: UnboundedReceiver<Order>,
) {
    tokio::task::spawn_local(Rc::clone(&prober).run());
    tokio::task::spawn_local(Rc::clone(&judges).run());
    let mut running: Option<Arc<Snapshot>> = None;
    loop {
        match tokio::time::timeout(EXPIRY_TICK, orders.recv()).await {
            Ok(None) => break,
            Ok(Some(Order::Rest)) => prober.rest(),
            Ok(Some(Order::Check(snapshot, targets))) => {
                prober.apply(&snapshot, &targets);
                judges.apply(&snapshot);
                // A zone may have come back while the snapshot was on its way.
                zones.mark(&snapshot.pools);
                running = Some(snapshot);
            }
            Err(_) => {}
        }
        let pools = running.as_ref().map_or(&[][..], |snapshot| snapshot.pools.as_slice());
        zones.expire(pools);
        circuits.sweep(pools);
    }
    // Returning drops the runtime, and with it every check.
}

#[cfg(test)]
mod tests;
