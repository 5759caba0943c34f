//! *Handshake*: TLS towards clients, and towards endpoints in *connect*; with rustls on aws-lc.
//!
//! | what | where |
//! |---|---|
//! | certificates and policies become what a handshake needs; refuses keys that do not fit | `terminations.rs` |
//! | which certificate a client is shown | `resolver.rs`, `evenly_core::certificates` |
//! | what issuers of certificates are shown that ask whether a host is ours | `challenges.rs` |
//! | names that wait for a certificate on demand | `demand.rs` |
//! | whom clients' certificates may be of, and what they say | `clients.rs`, `certificate.rs`, `evenly_core::client_tls` |
//! | what its issuer says of it being revoked | `staples.rs` |
//! | sessions that are resumed | `tickets.rs`; `sessions.rs` where early data is taken |
//! | what came before the end of a handshake | `early.rs` |
//! | one connection: sealing and opening records, on either side | `session.rs`, `side.rs` |
//! | what was agreed on | `facts.rs` |
//! | the step between *accept* and *read* | `handshake.rs` |
//! | how pools speak it with their endpoints: trust, names, sessions | `originations.rs`, `roots.rs` |
//! | a handshake with an endpoint, and why it failed | `originate.rs`, `trouble.rs` |
//!
//! rustls does no I/O here: its unbuffered interface works on the worker's lent buffers, so that an idle connection owns
//! none. What it decides (versions, ciphers, alerts) is its own; nothing here looks inside a record.

mod certificate;
mod challenges;
mod clients;
mod demand;
mod early;
mod facts;
mod handshake;
mod originate;
mod originations;
mod resolver;
mod roots;
mod session;
mod sessions;
mod side;
mod staples;
mod suites;
mod terminations;
mod tickets;
mod trouble;

pub use certificate::read_certificate;
pub use early::Early;
pub use facts::Facts;
pub use handshake::handshake;
pub use originate::{Alpn, EITHER, HTTP_1, HTTP_2, NO_ALPN, originate};
pub use originations::{Originations, Target, Targets, target_of};
pub use terminations::{Termination, Terminations};
pub use trouble::{Trouble, of_read};

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use session::Session;

/// A session with a client.
pub type Inward = Session<UnbufferedServerConnection>;

/// A session with an endpoint.
pub type Outward = Session<UnbufferedClientConnection>;
