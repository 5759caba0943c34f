//! What one connection may cost.

/// Bounds of one connection. All sizes are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Streams at once, those included that the peer reset and the application still works on. Announced as
    /// SETTINGS_MAX_CONCURRENT_STREAMS; in the client role it bounds [`crate::Connection::open`] below the server's own limit.
    pub streams: u32,
    /// What a peer may send on a stream before [`crate::Connection::consumed`] is called; at most 2^31 - 1.
    pub stream_window: u32,
    /// The same over all streams; 65,535 to 2^31 - 1, lower values count as 65,535 (RFC 9113 §6.9.2 has no way to lower it).
    pub connection_window: u32,
    /// A field section: names, values, and 32 for each field and each cookie crumb. Announced as
    /// SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113 §6.5.2). Beyond it a request is [`crate::Event::TooLarge`]; beyond four
    /// times as much the connection is closed.
    pub head_bytes: u32,
    /// Fields of a section, each cookie crumb counted.
    pub fields: u32,
    /// Field sections, counted as for `head_bytes`, that all live streams together may hold beyond ten times what they
    /// took on the wire: indexed fields cost one byte to send and kilobytes to keep. Streams beyond it are refused.
    pub held_head_bytes: u32,
    /// Output that is waiting to be written, from which on [`crate::Connection::send_data`] takes nothing.
    pub output_bytes: usize,
    /// Server role: whether WebSocket and other protocols may be asked for (RFC 8441).
    pub extended_connect: bool,
}

impl Limits {
    /// Bounds that fit browsers and gRPC alike, for tests and as a beginning.
    pub const TYPICAL: Self = Self {
        streams: 100,
        stream_window: 64 << 10,
        connection_window: 1 << 20,
        head_bytes: 64 << 10,
        fields: 100,
        held_head_bytes: 256 << 10,
        output_bytes: 64 << 10,
        extended_connect: true,
    };
}
