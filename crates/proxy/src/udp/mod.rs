//! UDP listeners: datagrams of a client go to one endpoint, and that endpoint's answers go back, from the address that
//! the client asked.
//!
//! ```text
//! clients ── recvmmsg ──> Relay ── sendto ──> sockets of Outlets ──> endpoints
//!         <── sendmmsg ──  (one for each worker and bound socket)  <── recvmmsg, found by an epoll of its own
//! ```
//!
//! * `sockets.rs` binds, before a snapshot is applied; `relays.rs` holds a worker's relays.
//! * `relay.rs` is what happens to a datagram in either direction; `session.rs` is what is kept and recorded.
//! * `trial.rs` is what a session tells of its endpoint to those who judge it.
//! * `outlets.rs` opens the sockets towards endpoints; `batch.rs` is the system calls.
//!
//! Which datagrams belong together, and which socket may carry them, is decided in `evenly_core::sessions`.
//!
//! Segmentation offload is not used. In a relay made to measure it, which lacked all else, UDP_SEGMENT saved nothing where
//! each client had one datagram on its way, and a quarter of the CPU time where each had four or more of one size; UDP_GRO
//! saved nothing beyond that. A route whose MTU is smaller than a datagram, and some devices, refuse it, so that it takes
//! a second way of sending beside it.

mod batch;
mod outlets;
mod relay;
mod relays;
mod session;
mod sockets;
mod trial;

pub use batch::{v4_information, v6_information};
pub use relays::Relays;
pub use sockets::{Datagrams, open};
