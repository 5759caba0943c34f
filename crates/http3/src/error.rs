//! Why a stream or a connection ended.

use std::fmt;

/// An error code of HTTP/3 or QPACK (RFC 9114 §8.1, RFC 9204 §6); unknown ones are kept as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub u64);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $word:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// All that have a name, to register metrics with.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As it stands in the RFC, in lower case and without its prefix; `unknown` for codes that it does not list.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self.0 {
                    $($value => $word,)*
                    _ => "unknown",
                }
            }
        }
    };
}

codes! {
    /// No error: a graceful end.
    NO_ERROR = 0x100, "no_error";
    /// The peer broke the protocol in a way that no other code names.
    GENERAL_PROTOCOL_ERROR = 0x101, "general_protocol_error";
    /// Something failed on this side.
    INTERNAL_ERROR = 0x102, "internal_error";
    /// The peer created a stream that is not accepted.
    STREAM_CREATION_ERROR = 0x103, "stream_creation_error";
    /// A stream was closed that the connection needs.
    CLOSED_CRITICAL_STREAM = 0x104, "closed_critical_stream";
    /// A frame that is not allowed where it came.
    FRAME_UNEXPECTED = 0x105, "frame_unexpected";
    /// A frame that is not as its type has to be.
    FRAME_ERROR = 0x106, "frame_error";
    /// The peer causes more load than is sensible.
    EXCESSIVE_LOAD = 0x107, "excessive_load";
    /// An identifier that is used wrongly.
    ID_ERROR = 0x108, "id_error";
    /// SETTINGS that say what they must not.
    SETTINGS_ERROR = 0x109, "settings_error";
    /// A control stream that does not begin with SETTINGS.
    MISSING_SETTINGS = 0x10a, "missing_settings";
    /// Nothing was done with the request: it may be tried again.
    REQUEST_REJECTED = 0x10b, "request_rejected";
    /// Nobody wants the request or its response any more.
    REQUEST_CANCELLED = 0x10c, "request_cancelled";
    /// The stream ended before its request.
    REQUEST_INCOMPLETE = 0x10d, "request_incomplete";
    /// A message that says nothing, or two things.
    MESSAGE_ERROR = 0x10e, "message_error";
    /// The connection of a CONNECT request was reset.
    CONNECT_ERROR = 0x10f, "connect_error";
    /// The request needs HTTP/1.1.
    VERSION_FALLBACK = 0x110, "version_fallback";
    /// A field section that cannot be decoded.
    QPACK_DECOMPRESSION_FAILED = 0x200, "qpack_decompression_failed";
    /// An instruction that the peer's encoder must not send.
    QPACK_ENCODER_STREAM_ERROR = 0x201, "qpack_encoder_stream_error";
    /// An instruction that the peer's decoder must not send.
    QPACK_DECODER_STREAM_ERROR = 0x202, "qpack_decoder_stream_error";
}

/// What an error ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One stream; the connection goes on.
    Stream,
    /// The connection with all its streams.
    Connection,
}

/// What the client did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// What it ends.
    pub scope: Scope,
    /// What the client is told.
    pub code: Code,
    /// For people.
    pub what: &'static str,
}

impl Error {
    pub(crate) const fn stream(code: Code, what: &'static str) -> Self {
        Self { scope: Scope::Stream, code, what }
    }

    pub(crate) const fn connection(code: Code, what: &'static str) -> Self {
        Self { scope: Scope::Connection, code, what }
    }

    /// A malformed message (RFC 9114 §4.1.2).
    pub(crate) const fn malformed(what: &'static str) -> Self {
        Self::stream(Code::MESSAGE_ERROR, what)
    }

    /// Whether it is load without purpose, not a mistake.
    #[must_use]
    pub fn is_abuse(&self) -> bool {
        self.code == Code::EXCESSIVE_LOAD
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.word(), self.what)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_word_of_its_own() {
        let mut words: Vec<_> = Code::ALL.iter().map(|code| code.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
        assert!(!words.contains(&"unknown"));
        assert_eq!(Code(0).word(), "unknown");
    }
}
