//! What is counted, and how it is told: as Prometheus' text and as the JSON of `evenly status`.
//!
//! * [`WorkerStats`] belongs to one worker: numbers without atomics, found by index. The control thread asks every
//!   worker for a copy and adds them up; the packet path never waits for a reader.
//! * [`Scene`] is what the sums belong to: names, endpoints, and what others than the workers count.
//! * [`render`] and [`status`] put both into words. The names of metrics are listed once, in `render.rs`.

mod access;
mod counts;
mod exposition;
mod histogram;
mod http3;
mod render;
#[cfg(test)]
pub(crate) mod sample;
mod space;
mod stats;
mod status;

pub use access::{Password, Service as ForwardAuth};
pub use counts::Lost;
pub use render::render;
pub use stats::{NONE, Record, WorkerStats};
pub use status::status;

use crate::service::Service;
use crate::tls::{Targets, Termination};
use evenly_core::snapshot::Snapshot;
use std::net::SocketAddr;
use std::time::Duration;

/// The process at the moment of the question.
pub struct Scene<'a> {
    /// The running configuration.
    pub snapshot: &'a Snapshot,
    /// Configurations in memory, the running one among them.
    pub snapshots: usize,
    /// How TLS is spoken with its endpoints.
    pub targets: &'a Targets,
    /// How its listeners terminate it, in their order.
    pub terminations: &'a [Option<Termination>],
    /// The service threads; `None` once they are stopped.
    pub service: Option<&'a Service>,
    /// Client connections that are open.
    pub connections: u32,
    /// Worker threads.
    pub workers: usize,
    /// Since the process began to serve.
    pub uptime: Duration,
    /// Whether the process stopped accepting.
    pub is_draining: bool,
    /// Where an address of the configuration really listens: the port, when the system chose it.
    pub local: &'a dyn Fn(SocketAddr) -> SocketAddr,
}
