//! What HTTP/3 has in common with HTTP/2 (RFC 9114 §4): what the fields of messages mean, and what is refused, behind
//! another compression and other frames.
//!
//! A reader of that compression gives a [`Sink`] one [`Field`] after the other; a [`Coding`] takes what a text becomes.

pub use crate::abuse::{Budget, Budgets};
pub use crate::hpack::{Coding, CompressionError, Field, Name, read_integer, read_string, write_integer};
pub use crate::message::{
    Exchange, Kind, Outlook, Request, Rooms, Sink, Trailers, is_value, write_response, write_trailers,
};
