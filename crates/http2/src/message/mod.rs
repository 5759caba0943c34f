//! Messages: field sections to HTTP/1.1 text and back (RFC 9113 §8).
//!
//! `section` reads a block and counts what it costs; `request`, `response` and `trailers` make text of it, and
//! refuse what is malformed; `outgoing` makes blocks of texts.

mod exchange;
mod kind;
mod outgoing;
mod request;
mod response;
mod section;
mod trailers;
mod websocket;

pub use exchange::Exchange;
pub use kind::{Kind, is_value};
pub use outgoing::{Sent, write_request, write_response, write_trailers};
pub use request::{Outlook, Request};
pub use response::{Answer, Response};
pub use section::{Refusal, Rooms, Section, read_section};
pub use trailers::Trailers;

use crate::hpack::Field;

/// Takes the fields of a section, one after the other.
pub trait Sink {
    /// Takes a field, or says why the message is malformed (RFC 9113 §8.1.1).
    fn take(&mut self, field: &Field<'_>) -> Result<(), &'static str>;
}

/// Appends pieces to a text.
fn append(text: &mut Vec<u8>, pieces: &[&[u8]]) {
    for piece in pieces {
        text.extend_from_slice(piece);
    }
}

/// Reads the value of `content-length`: digits only (RFC 9110 §8.6), at most 2^63 - 1, as `evenly_http1` has it.
fn content_length(value: &[u8]) -> Result<u64, &'static str> {
    const INVALID: &str = "invalid content-length";
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return Err(INVALID);
    }
    let length = value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0'));
    i64::try_from(length).map(|_| length).map_err(|_| INVALID)
}
