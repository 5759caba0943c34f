//! HTTP/2 with clients. `evenly_http2` speaks it; here it gets its socket and its place in the one pipeline.
//!
//! Each stream is a [`crate::stream::Stream`] of its own, which reads and writes like a connection of HTTP/1.1, so a
//! request takes the same twelve steps (`crate::http`) whichever way it came:
//!
//! | part | where |
//! |---|---|
//! | the connection's task: its socket, its deadlines, its end | `connection.rs` |
//! | what that task and the streams share | `mux.rs` |
//! | one stream, as the pipeline sees it | `stream.rs` |

mod connection;
mod mux;
mod stream;

pub use connection::{request, serve};
pub use stream::{H2Stream, Head as ResponseHead};

/// What a connection begins with whose client knows without being told that HTTP/2 is spoken (RFC 9113 §3.3, §3.4), as
/// far as it looks like a request's head. No other request does.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// The protocol's name in the access log.
pub const VERSION: &str = "HTTP/2.0";
