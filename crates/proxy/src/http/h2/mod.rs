//! HTTP/2 with clients and endpoints. `evenly_http2` speaks it; here it gets its socket and its place in the one pipeline.
//!
//! Each stream is a [`crate::stream::Stream`] of its own, which reads and writes like a connection of HTTP/1.1, so a
//! request takes the same twelve steps (`crate::http`) whichever way it came:
//!
//! | part | where |
//! |---|---|
//! | the task of a client's connection: its socket, its deadlines, its end | `connection.rs` |
//! | the task of a connection to an endpoint | `endpoint.rs` |
//! | which connection to an endpoint has room for a request, and who is next | `shared.rs`, `line.rs` |
//! | what a task and its streams share | `mux.rs` |
//! | one stream, as the pipeline sees it | `stream.rs`, `head.rs` |

mod connection;
mod endpoint;
mod head;
mod line;
mod mux;
mod shared;
mod stream;

pub use connection::{request, serve};
pub use head::Head;
pub use shared::{Entered, SharedConnections, enter};
pub use stream::{H2Stream, Loss};

/// What a connection begins with whose client knows without being told that HTTP/2 is spoken (RFC 9113 §3.3, §3.4), as
/// far as it looks like a request's head. No other request does.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// The protocol's name in the access log.
pub const VERSION: &str = "HTTP/2.0";
