//! Speaks HTTP/2 (RFC 9113), both roles, with its own HPACK (RFC 7541) and extended CONNECT (RFC 8441). No I/O, no
//! clock, no thread: bytes and the time in milliseconds come in, events and bytes go out.
//!
//! | start here | for |
//! |---|---|
//! | [`Connection`] | one connection: [`Connection::step`] through the input, [`Connection::output`] to the socket |
//! | [`Event`] | what a step brings |
//! | [`Limits`] | what a connection may cost |
//! | [`Reason`] | why a stream or a connection was ended; the words for metrics |
//!
//! A stream is a virtual HTTP/1.1 connection: a request's fields become the text of a request head, which
//! `evenly_http1` reads as if it had come that way, and a response head's text becomes fields; the client role does
//! the same the other way round. So there is one pipeline, and one place that decides what a message means.
//!
//! HTTP/3 has the same messages; what both make of them is in [`fields`].
//!
//! What it is not: it never decides what to do with a request, and it keeps no body; see [`Connection`] for who frames
//! what.

mod abuse;
mod connection;
mod error;
mod event;
pub mod fields;
mod frame;
mod hpack;
mod limits;
mod message;
mod output;
mod settings;
mod streams;

pub use connection::{Connection, Scheme};
pub use error::{ConnectionError, ErrorCode, OpenError, Reason, SendError, StreamError};
pub use event::{Event, Step, StreamId};
pub use limits::Limits;
pub use output::Output;
