//! QUIC (RFC 9000) for HTTP/3: `quinn_proto` speaks it, without I/O; here it gets sockets, timers and its place among the
//! workers.
//!
//! ```text
//! clients ── recvmsg ──> Endpoint ──> Link ──> its task, which is http/h3's
//!         <── sendmsg ──────────────────────────┘
//!                         │ ^
//!                         v │ packets of connections that another worker has
//!                        Seat
//! ```
//!
//! * `sockets.rs` binds, before a snapshot is applied; `endpoints.rs` holds a worker's endpoints.
//! * `endpoint.rs` is one bound address on one worker: whose a packet is, and who may come in.
//! * `link.rs` is one connection between its endpoint and its task: events, timers, packets.
//! * `seat.rs` says whose connection a packet belongs to: every connection's identifiers name the worker that has it, so
//!   that a client may change its address, after which the kernel hands its packets to another one.
//! * `channel.rs` is the way to a process that this one took over from, for packets of connections that it still has.
//! * `session.rs` is TLS in it, by the same certificates, policies and tickets as over TCP.
//! * `wire.rs` is the system calls.

mod channel;
mod endpoint;
mod endpoints;
mod link;
mod seat;
mod session;
mod sockets;
mod wire;

pub use channel::Channel;
pub use endpoint::SEND_WINDOW;
pub use endpoints::{Endpoints, Share};
pub use link::Link;
pub use seat::{Keys, seats};
pub use session::failure;
pub use sockets::bind;
