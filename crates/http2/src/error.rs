//! Why a stream or a connection ended.

use std::fmt;

/// An error code as RST_STREAM and GOAWAY carry it (RFC 9113 §7); unknown ones are kept as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// No error: a graceful end.
    pub const NO_ERROR: Self = Self(0);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1);
    /// Something failed on this side.
    pub const INTERNAL_ERROR: Self = Self(2);
    /// The peer sent more than it may.
    pub const FLOW_CONTROL_ERROR: Self = Self(3);
    /// SETTINGS were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: Self = Self(4);
    /// A frame for a stream that is closed.
    pub const STREAM_CLOSED: Self = Self(5);
    /// A frame of an invalid size.
    pub const FRAME_SIZE_ERROR: Self = Self(6);
    /// Nothing was done with the stream: it may be tried again.
    pub const REFUSED_STREAM: Self = Self(7);
    /// Nobody wants the stream any more.
    pub const CANCEL: Self = Self(8);
    /// The state of header compression is lost.
    pub const COMPRESSION_ERROR: Self = Self(9);
    /// The connection of a CONNECT request was reset.
    pub const CONNECT_ERROR: Self = Self(10);
    /// The peer causes more load than is sensible.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);
    /// Transport security is too weak.
    pub const INADEQUATE_SECURITY: Self = Self(12);
    /// The request needs HTTP/1.1.
    pub const HTTP_1_1_REQUIRED: Self = Self(13);

    /// As it stands in the RFC, in lower case; `unknown` for codes that it does not list.
    #[must_use]
    pub const fn word(self) -> &'static str {
        const WORDS: [&str; 14] = [
            "no_error",
            "protocol_error",
            "internal_error",
            "flow_control_error",
            "settings_timeout",
            "stream_closed",
            "frame_size_error",
            "refused_stream",
            "cancel",
            "compression_error",
            "connect_error",
            "enhance_your_calm",
            "inadequate_security",
            "http_1_1_required",
        ];
        if self.0 < 14 { WORDS[self.0 as usize] } else { "unknown" }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.word(), self.0)
    }
}

/// What was wrong, in words that serve as labels of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Bytes that no connection begins with.
    Preface,
    /// A frame that is too long or too short, or longer padding than frame.
    FrameSize,
    /// More data than the windows allow, or a window beyond 2^31 - 1.
    FlowControl,
    /// A header block that cannot be decoded.
    Compression,
    /// A frame that its stream's state does not allow.
    StreamState,
    /// Any other breach of the framing rules.
    Protocol,
    /// A request or response that says nothing, or two things (RFC 9113 §8.1.1).
    Malformed,
    /// More streams at once than were granted, or a new one while this side drains.
    Refused,
    /// A field section beyond the limits, where no answer can say so.
    HeadTooLarge,
    /// Streams opened only to be reset (CVE-2023-44487).
    RapidReset,
    /// Streams opened only to have them reset by this side (CVE-2025-8671).
    MadeYouReset,
    /// Streams beyond what was granted, again and again.
    StreamFlood,
    /// A header block in too many pieces, or without an end (CVE-2024-27316 and its kin).
    ContinuationFlood,
    /// Field sections far larger than their wire form.
    HeaderBomb,
    /// Too many SETTINGS frames (CVE-2019-9515).
    SettingsFlood,
    /// Too many PING frames (CVE-2019-9512).
    PingFlood,
    /// Too many PRIORITY frames (CVE-2019-9513).
    PriorityFlood,
    /// Too many WINDOW_UPDATE frames.
    WindowUpdateFlood,
    /// Frames that carry nothing and end nothing (CVE-2019-9518).
    EmptyFrames,
    /// Data in crumbs (CVE-2019-9511).
    TinyData,
    /// Too many frames of unknown types.
    UnknownFrames,
    /// Answers that pile up because the peer does not read (CVE-2019-9517).
    UnreadAnswers,
}

impl Reason {
    /// Every reason, to register metrics with.
    pub const ALL: [Self; 22] = [
        Self::Preface,
        Self::FrameSize,
        Self::FlowControl,
        Self::Compression,
        Self::StreamState,
        Self::Protocol,
        Self::Malformed,
        Self::Refused,
        Self::HeadTooLarge,
        Self::RapidReset,
        Self::MadeYouReset,
        Self::StreamFlood,
        Self::ContinuationFlood,
        Self::HeaderBomb,
        Self::SettingsFlood,
        Self::PingFlood,
        Self::PriorityFlood,
        Self::WindowUpdateFlood,
        Self::EmptyFrames,
        Self::TinyData,
        Self::UnknownFrames,
        Self::UnreadAnswers,
    ];

    /// One word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Preface => "preface",
            Self::FrameSize => "frame_size",
            Self::FlowControl => "flow_control",
            Self::Compression => "compression",
            Self::StreamState => "stream_state",
            Self::Protocol => "protocol",
            Self::Malformed => "malformed",
            Self::Refused => "refused",
            Self::HeadTooLarge => "head_too_large",
            Self::RapidReset => "rapid_reset",
            Self::MadeYouReset => "made_you_reset",
            Self::StreamFlood => "stream_flood",
            Self::ContinuationFlood => "continuation_flood",
            Self::HeaderBomb => "header_bomb",
            Self::SettingsFlood => "settings_flood",
            Self::PingFlood => "ping_flood",
            Self::PriorityFlood => "priority_flood",
            Self::WindowUpdateFlood => "window_update_flood",
            Self::EmptyFrames => "empty_frames",
            Self::TinyData => "tiny_data",
            Self::UnknownFrames => "unknown_frames",
            Self::UnreadAnswers => "unread_answers",
        }
    }

    /// Whether it is load without purpose, not a mistake.
    #[must_use]
    pub const fn is_abuse(self) -> bool {
        self as u8 >= Self::RapidReset as u8
    }
}

/// The connection is over. Its GOAWAY is in the output: write that and close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionError {
    /// What GOAWAY says.
    pub code: ErrorCode,
    /// For the metrics.
    pub reason: Reason,
    /// For the log.
    pub what: &'static str,
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.word(), self.what)
    }
}

impl std::error::Error for ConnectionError {}

/// A stream is over, and was reset by this crate; the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamError {
    /// What RST_STREAM says.
    pub code: ErrorCode,
    /// For the metrics.
    pub reason: Reason,
    /// For the log.
    pub what: &'static str,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.word(), self.what)
    }
}

impl std::error::Error for StreamError {}

/// Why a request could not be sent on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// As many streams as the peer or [`crate::Limits::streams`] allows are open.
    Full,
    /// One of the sides is shutting down, or the connection has failed.
    Draining,
    /// All 2^30 stream identifiers are used.
    Exhausted,
    /// The server does not take WebSocket or other protocols over HTTP/2, or has not said so yet.
    NoExtendedConnect,
    /// The head is not one that this crate can send; says why.
    Malformed(&'static str),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "all streams are in use",
            Self::Draining => "the connection is shutting down",
            Self::Exhausted => "all stream identifiers are used",
            Self::NoExtendedConnect => "the server takes no other protocols over HTTP/2",
            Self::Malformed(what) => what,
        })
    }
}

impl std::error::Error for OpenError {}

/// Why something could not be sent on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The stream was reset by a side, or this side has ended it already.
    Closed,
    /// The text is not one that this crate can send; says why. Nothing was sent.
    Malformed(&'static str),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the stream is closed",
            Self::Malformed(what) => what,
        })
    }
}

impl std::error::Error for SendError {}
