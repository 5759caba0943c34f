//! Frames (RFC 9113 §4.1, §6).

/// Bytes in front of each frame's payload.
pub const HEADER_BYTES: usize = 9;
/// The longest payload that this side takes and sends: what each side must take (RFC 9113 §4.2). Longer frames would let
/// one stream keep the others waiting.
pub const MAX_PAYLOAD: usize = 16_384;
/// Stream identifiers and windows have 31 bits.
pub const MAX_31: u32 = 0x7fff_ffff;
/// What a client sends first (RFC 9113 §3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames.
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub mod flag {
    pub const NONE: u8 = 0;
    pub const END_STREAM: u8 = 1;
    pub const ACK: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 0x20;
}

/// What stands in front of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl Frame {
    #[inline]
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Self {
        let [high, middle, low, kind, flags, stream @ ..] = *bytes;
        Self {
            length: usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low),
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & MAX_31,
        }
    }

    #[inline]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A frame's header. `length` is at most [`MAX_PAYLOAD`].
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "no longer than MAX_PAYLOAD, which has 15 bits")]
pub fn header(length: usize, kind: u8, flags: u8, stream: u32) -> [u8; HEADER_BYTES] {
    debug_assert!(length <= MAX_PAYLOAD);
    let [a, b, c, d] = stream.to_be_bytes();
    [0, (length >> 8) as u8, length as u8, kind, flags, a, b, c, d]
}

/// Appends a frame whose payload is one number.
pub fn write_number(out: &mut Vec<u8>, kind: u8, stream: u32, number: u32) {
    out.extend_from_slice(&header(4, kind, flag::NONE, stream));
    out.extend_from_slice(&number.to_be_bytes());
}

/// The number in a payload of four bytes.
pub fn number(payload: &[u8]) -> Option<u32> {
    <[u8; 4]>::try_from(payload).ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_written_as_they_are_read() {
        let frame = Frame { length: 0x3fff, kind: kind::DATA, flags: flag::END_STREAM, stream: MAX_31 };
        assert_eq!(Frame::parse(&header(frame.length, frame.kind, frame.flags, frame.stream)), frame);
        assert_eq!(Frame::parse(&[1, 2, 3, 4, 5, 0xff, 0, 0, 1]).stream, 0x7f00_0001);
        assert_eq!(Frame::parse(&[1, 2, 3, 4, 5, 0xff, 0, 0, 1]).length, 0x01_0203);
    }
}
