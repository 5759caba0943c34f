//! Reads and writes HTTP/1.1 messages (RFC 9110, RFC 9112). No I/O, no clock, no allocation, no dependency.
//!
//! | start here | for |
//! |---|---|
//! | [`parse_request`], [`parse_response`] | a head: its meaning, its fields, how its body is framed |
//! | [`RequestHead::copy_fields`] | rewriting a head by copying spans of lines |
//! | [`split_field`] | one field line, where a text is to become something else than a head |
//! | [`BodyReader`] | a body of any framing, taken out of a read buffer piece by piece |
//! | [`may_trail`], [`retain_trailers`] | what may stand behind a body |
//! | [`chunk_head`], [`CHUNK_END`], [`LAST_CHUNK`] | writing a chunked body |
//! | [`write_status_line`], [`reason_phrase`] | answers of Evenly's own |
//!
//! It is strict on purpose: a balancer that reads a message differently from the endpoint behind it is a hole
//! (request smuggling). Where RFC 9112 lets a recipient be lenient, this crate refuses: bare CR or LF,
//! folded lines, space around field names, several lengths, any transfer coding but exactly `chunked`.
//! `tests/golden/http1/` states the fate of every kind of message as raw bytes.
//!
//! What it is not: it never decides where a request goes, it keeps no connection state, and it reads no more than
//! the caller hands it. A message may arrive in any pieces; the outcome does not depend on how it was cut.
//!
//! The tokenizer is an own one: httparse accepts bare LF and does not say where lines begin, so all of a head would be
//! looked at twice. httparse remains the oracle of the tests and fuzz targets: what is accepted here, it reads alike.

mod body;
mod chunked;
mod head;
mod status;
mod trailers;

pub use body::{BodyReader, Taken, Truncated};
pub use chunked::{
    CHUNK_END, CHUNK_HEADROOM, ChunkError, ChunkedDecoder, Decoded, LAST_CHUNK, MAX_EXTENSION_BYTES,
    MAX_TRAILER_BYTES, MAX_TRAILER_LINES, Span, chunk_head,
};
pub use head::{
    BodyLength, Field, FieldKind, FieldLine, FieldName, HeadLimits, MAX_EMPTY_LINES, MAX_FIELDS,
    MAX_METHOD_BYTES, MAX_OPTIONS, RequestError, RequestHead, ResponseError, ResponseHead, Slots, Target,
    TargetForm, Version, parse_request, parse_response, split_field,
};
pub use status::{reason_phrase, write_status_line};
pub use trailers::{may_trail, retain_trailers};
