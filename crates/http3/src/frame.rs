//! Frames (RFC 9114 §7): their headers as they come, in pieces of any size, and as they go.

use crate::error::{Code, Error};

/// Types of frames (RFC 9114 §11.2.1).
pub mod kind {
    pub const DATA: u64 = 0x00;
    pub const HEADERS: u64 = 0x01;
    pub const CANCEL_PUSH: u64 = 0x03;
    pub const SETTINGS: u64 = 0x04;
    pub const PUSH_PROMISE: u64 = 0x05;
    pub const GOAWAY: u64 = 0x07;
    pub const MAX_PUSH_ID: u64 = 0x0d;

    /// PRIORITY, PING, WINDOW_UPDATE and CONTINUATION, which HTTP/3 must not have (RFC 9114 §7.2.8).
    pub const fn is_of_http2(kind: u64) -> bool {
        matches!(kind, 0x02 | 0x06 | 0x08 | 0x09)
    }

    /// A frame that may not be on a request's stream, or one of HTTP/2.
    pub const fn is_foreign_to_requests(kind: u64) -> bool {
        matches!(kind, CANCEL_PUSH | SETTINGS | PUSH_PROMISE | GOAWAY | MAX_PUSH_ID) || is_of_http2(kind)
    }
}

/// The largest variable-length integer (RFC 9000 §16).
const MOST: u64 = (1 << 62) - 1;

/// A variable-length integer of which a part may still be missing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Varint {
    bytes: [u8; 8],
    have: u8,
}

impl Varint {
    /// Takes what belongs to it off `input`; the number, once all of it is there.
    pub fn take(&mut self, input: &mut &[u8]) -> Option<u64> {
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            self.bytes[usize::from(self.have)] = byte;
            self.have += 1;
            let length = 1 << (self.bytes[0] >> 6);
            if self.have == length {
                let mut value = u64::from(self.bytes[0] & 0x3f);
                for &byte in &self.bytes[1..usize::from(length)] {
                    value = value << 8 | u64::from(byte);
                }
                self.have = 0;
                return Some(value);
            }
        }
        None
    }

    /// Whether a part of it is there.
    pub const fn is_midway(&self) -> bool {
        self.have > 0
    }
}

/// The headers of a stream's frames, one after the other.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers {
    number: Varint,
    kind: Option<u64>,
}

impl Headers {
    /// Takes what belongs to a header off `input`: the frame's type and its length.
    pub fn take(&mut self, input: &mut &[u8]) -> Option<(u64, u64)> {
        loop {
            let number = self.number.take(input)?;
            match self.kind.take() {
                Some(kind) => return Some((kind, number)),
                None => self.kind = Some(number),
            }
        }
    }

    /// Whether a part of one is there.
    pub const fn is_midway(&self) -> bool {
        self.kind.is_some() || self.number.is_midway()
    }
}

/// Reads one number off `input`, which has to be there as a whole.
pub fn read_varint(input: &mut &[u8]) -> Result<u64, Error> {
    let missing = Error::connection(Code::FRAME_ERROR, "a frame that ends in a number");
    Varint::default().take(input).ok_or(missing)
}

/// Writes a number; above the largest one it is that.
#[allow(clippy::cast_possible_truncation, reason = "each arm has the bits that its bytes hold")]
pub fn write_varint(out: &mut Vec<u8>, value: u64) {
    match value.min(MOST) {
        value @ 0..0x40 => out.push(value as u8),
        value @ 0x40..0x4000 => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        value @ 0x4000..0x4000_0000 => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
        value => out.extend_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

/// Writes a frame's header.
pub fn write_header(out: &mut Vec<u8>, kind: u64, length: usize) {
    write_varint(out, kind);
    write_varint(out, length as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_rfc() {
        let samples: [(u64, &[u8]); 4] = [
            (151_288_809_941_952_652, &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c]),
            (494_878_333, &[0x9d, 0x7f, 0x3e, 0x7d]),
            (15_293, &[0x7b, 0xbd]),
            (37, &[0x25]),
        ];
        for (value, bytes) in samples {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            assert_eq!(out, bytes);
            let mut varint = Varint::default();
            for byte in &bytes[..bytes.len() - 1] {
                assert_eq!(varint.take(&mut &[*byte][..]), None);
                assert!(varint.is_midway());
            }
            assert_eq!(varint.take(&mut &bytes[bytes.len() - 1..]), Some(value));
            assert!(!varint.is_midway());
        }
        // Longer than it has to be is allowed.
        assert_eq!(read_varint(&mut &[0x40, 0x25][..]), Ok(37));
        assert!(read_varint(&mut &[0x40][..]).is_err());
    }

    #[test]
    fn a_header_may_come_byte_by_byte() {
        let mut headers = Headers::default();
        let bytes = [0x40, 0x04, 0x41, 0x00];
        let taken: Vec<_> = bytes.iter().map(|byte| headers.take(&mut &[*byte][..])).collect();
        assert_eq!(taken, [None, None, None, Some((4, 256))]);
        assert!(!headers.is_midway());
    }
}
