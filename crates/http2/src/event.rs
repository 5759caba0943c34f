//! What a step through the input brings.

use crate::error::{ConnectionError, ErrorCode, StreamError};
use std::fmt;

/// A stream's number (RFC 9113 §5.1.1): odd, and never used twice on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(crate) u32);

impl StreamId {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The outcome of [`crate::Connection::step`].
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// All of the input is taken in; what is incomplete is kept inside. The next step needs more bytes.
    More {
        /// The length of the input.
        consumed: usize,
    },
    /// Something happened; call again with the rest of the input, which may be empty.
    Event {
        /// Bytes of the input that are done with.
        consumed: usize,
        /// What it was.
        event: Event<'a>,
    },
    /// The connection is over. GOAWAY is in the output: write it and close. Further steps take and ignore all input.
    Failed {
        /// Bytes of the input that are done with.
        consumed: usize,
        /// Why.
        error: ConnectionError,
    },
}

/// What happened.
///
/// Texts end with the empty line of a head, and stand in memory that the next call overwrites.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message began: server role, a request; client role, a final response.
    Head {
        /// Its stream.
        stream: StreamId,
        /// An HTTP/1.1 head for `evenly_http1`'s parser, which checks the rest of it.
        text: &'a [u8],
        /// No body and no trailers follow.
        is_end: bool,
    },
    /// Client role: an informational response; 101 never comes here.
    Interim {
        /// Its stream.
        stream: StreamId,
        /// An HTTP/1.1 response head.
        text: &'a [u8],
    },
    /// Server role: a request whose fields exceed the limits. Answer 431 by [`crate::Connection::send_head`], or reset it.
    /// Its body, if it has one, comes as for others.
    TooLarge {
        /// Its stream.
        stream: StreamId,
        /// No body and no trailers follow.
        is_end: bool,
    },
    /// A piece of the body. Call [`crate::Connection::consumed`] when it is passed on.
    Data {
        /// Its stream.
        stream: StreamId,
        /// The piece, out of the input; empty only at the end.
        bytes: &'a [u8],
        /// The body ends here, without trailers.
        is_end: bool,
    },
    /// Trailers; the message ends with them.
    Trailers {
        /// Their stream.
        stream: StreamId,
        /// Lines `name: value CRLF`, without an empty line behind them.
        fields: &'a [u8],
    },
    /// The peer gave the stream up. Nothing can be sent on it any more.
    Reset {
        /// The stream.
        stream: StreamId,
        /// Why.
        code: ErrorCode,
    },
    /// This crate reset the stream because of what the peer did. It may be one that was never announced, as the
    /// request itself was at fault.
    Broken {
        /// The stream.
        stream: StreamId,
        /// Why.
        error: StreamError,
    },
    /// A stream on which [`crate::Connection::send_data`] took less than offered can take more.
    Writable {
        /// The stream.
        stream: StreamId,
    },
    /// All such streams may be able to take more.
    AllWritable,
    /// The peer's settings are known now, or have changed: how many streams may be opened, and of which kinds.
    Settings,
    /// The peer answered [`crate::Connection::ping`].
    Pong,
    /// The peer shuts down. Client role: streams above `last` were not looked at, and can be tried on another
    /// connection; no more can be opened.
    GoAway {
        /// The highest stream that the peer works on.
        last: StreamId,
        /// Why.
        code: ErrorCode,
    },
}
