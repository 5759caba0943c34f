//! What goes wrong while frames are read.

use crate::error::{ConnectionError, ErrorCode, Reason, StreamError};

/// What is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection.
    Connection(ConnectionError),
    /// One stream.
    Stream(u32, StreamError),
}

impl From<ConnectionError> for Fault {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

/// A fault of the connection.
#[cold]
pub fn broken(code: ErrorCode, reason: Reason, what: &'static str) -> Fault {
    Fault::Connection(ConnectionError { code, reason, what })
}

/// A breach of the framing rules.
#[cold]
pub fn protocol(what: &'static str) -> Fault {
    broken(ErrorCode::PROTOCOL_ERROR, Reason::Protocol, what)
}

/// A frame of an invalid size.
#[cold]
pub fn frame_size(what: &'static str) -> Fault {
    broken(ErrorCode::FRAME_SIZE_ERROR, Reason::FrameSize, what)
}

/// A fault of one stream.
#[cold]
pub fn stream(id: u32, code: ErrorCode, reason: Reason, what: &'static str) -> Fault {
    Fault::Stream(id, StreamError { code, reason, what })
}

/// A malformed message (RFC 9113 §8.1.1).
#[cold]
pub fn malformed(id: u32, what: &'static str) -> Fault {
    stream(id, ErrorCode::PROTOCOL_ERROR, Reason::Malformed, what)
}
