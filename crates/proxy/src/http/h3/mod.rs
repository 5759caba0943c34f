//! HTTP/3 with clients. `quic/` has the connections and their streams, `evenly_http3` what is said on them; here both get
//! their place in the one pipeline.
//!
//! As with HTTP/2 each request's stream is a [`crate::stream::Stream`] of its own, which reads and writes like a
//! connection of HTTP/1.1:
//!
//! | part | where |
//! |---|---|
//! | the connection's task: its handshake, its deadlines, its end | `connection.rs` |
//! | what is said beside requests, the goodbye among it | `connection/control.rs` |
//! | what that task and the streams share | `mux.rs` |
//! | what clients send on streams | `mux/incoming.rs` |
//! | one stream, as the pipeline sees it | `stream.rs` |

mod connection;
mod mux;
mod stream;

pub use connection::serve;
pub use stream::H3Stream;

/// The protocol's name in the access log.
pub const VERSION: &str = "HTTP/3.0";
