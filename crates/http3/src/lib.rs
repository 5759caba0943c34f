//! Speaks HTTP/3 (RFC 9114) in the role of the server, with its own QPACK (RFC 9204) and extended CONNECT (RFC 9220).
//! No I/O, no clock, no thread: bytes of streams and the time in milliseconds come in, pieces and bytes go out.
//!
//! | start here | for |
//! |---|---|
//! | [`Connection`] | what the streams of a connection share: limits, budgets, and what the client may still do |
//! | [`Reader`] | one request: [`Reader::step`] through what came on its stream |
//! | [`Uni`] | one of the client's unidirectional streams |
//! | [`write_head`], [`write_data`] | the response |
//! | [`Error`], [`Code`] | why a stream or a connection was ended; the words for metrics |
//!
//! As with HTTP/2 a stream is a virtual HTTP/1.1 connection, and what fields mean is decided by the same code
//! (`evenly_http2::fields`). QUIC has the streams, their flow control and their ends; none of that is here. There is no
//! dynamic table in either direction: it saves bytes, but lets one stream wait for another, and costs memory for each
//! connection. So a field section depends on nothing, and the streams for QPACK carry nothing.

mod connection;
mod error;
mod frame;
mod qpack;
mod request;
mod response;
mod uni;

pub use connection::{Connection, Limits, write_goaway, write_greeting};
pub use error::{Code, Error, Scope};
pub use evenly_http2::fields::Exchange;
pub use request::{Head, Piece, Reader};
pub use response::{write_data, write_head, write_trailers};
pub use uni::{Fate, Uni};
