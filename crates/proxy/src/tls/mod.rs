//! *Handshake*: TLS towards clients, with rustls on aws-lc.
//!
//! | what | where |
//! |---|---|
//! | certificates and policies become what a handshake needs; refuses keys that do not fit | `terminations.rs` |
//! | which certificate a client is shown | `resolver.rs`, `evenly_core::certificates` |
//! | sessions that are resumed | `tickets.rs` |
//! | one connection: sealing and opening records | `session.rs` |
//! | the step between *accept* and *read* | `handshake.rs` |
//!
//! rustls does no I/O here: its unbuffered interface works on the worker's lent buffers, so that an idle connection owns
//! none. What it decides (versions, ciphers, alerts) is its own; nothing here looks inside a record.

mod handshake;
mod resolver;
mod session;
mod terminations;
mod tickets;

pub use handshake::handshake;
pub use session::{Facts, Session};
pub use terminations::{Termination, Terminations};
