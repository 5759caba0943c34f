//! Does: sockets, connections, workers, health checks, logs. What is to be done it asks `evenly_core`.
//!
//! Where to start:
//! * [`Dataplane`] — all of it, as Python's side sees it.
//! * [`worker`] — one thread and what its connections share; `worker::accept` takes connections.
//! * `http` — the twelve steps of a request; `tcp` — the same for byte streams; `tunnel`, `splice` — bulk.
//! * `stream` — a connection, with TLS (`tls`) or without.
//! * [`service`] — the thread beside the workers: health checks and the access log's writer.
//! * [`metrics`] — what workers count, and how it is told.
//!
//! Not here: anything that chooses between endpoints, routes or fates, and any default.

pub mod access_log;
mod arrival;
mod clock;
mod compress;
mod dataplane;
pub mod descriptor;
mod http;
mod inheritance;
mod io;
pub mod metrics;
mod permits;
mod pump;
mod quic;
pub mod service;
mod sockets;
mod splice;
mod stream;
mod tcp;
mod tls;
mod transparent;
mod tunnel;
mod udp;
mod upstream;
pub mod worker;

pub use dataplane::{ApplyError, Dataplane, EndpointChange};
