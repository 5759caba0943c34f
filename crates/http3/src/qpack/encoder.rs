//! Writes field sections (RFC 9204 §4.5). Without Huffman code, as HTTP/2's encoder here: it costs more time on this side
//! than the copy of the bytes that it saves.

use super::fixed::TABLE;
use evenly_http2::fields::{Coding, Name, write_integer};

/// A section while it is written.
pub struct Section<'o>(&'o mut Vec<u8>);

impl<'o> Section<'o> {
    /// Begins one at the end of `out`: with the prefix that says that it needs no dynamic table.
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        out.extend_from_slice(&[0, 0]);
        Self(out)
    }
}

/// An index of the static table, with the value or with another.
const INDEXED: u8 = 0xc0;
const NAME_INDEXED: u8 = 0x50;
/// Set where no recipient may put the value into a table.
const NEVER_INDEXED: u8 = 0x20;
/// A name that is not in the static table.
const LITERAL: u8 = 0x20;

impl Coding for Section<'_> {
    fn status(&mut self, status: u16) {
        let index = match status {
            100 => 63,
            103 => 24,
            200 => 25,
            204 => 64,
            206 => 65,
            302 => 66,
            304 => 26,
            400 => 67,
            403 => 68,
            404 => 27,
            421 => 69,
            425 => 70,
            500 => 71,
            503 => 28,
            _ => {
                let digit = |value: u16| b"0123456789"[usize::from(value % 10)];
                write_integer(self.0, NAME_INDEXED, 4, 24);
                self.0.extend_from_slice(&[3, digit(status / 100), digit(status / 10), digit(status)]);
                return;
            }
        };
        write_integer(self.0, INDEXED, 6, index);
    }

    fn field(&mut self, name: Name<'_>, value: &[u8]) {
        let out = &mut *self.0;
        match find(name.text) {
            Some(first) => {
                let alike = TABLE[first..].iter().take_while(|entry| entry.name() == name.text);
                match alike.zip(first..).find(|(entry, _)| !value.is_empty() && entry.value() == value) {
                    Some((_, index)) => return write_integer(out, INDEXED, 6, index),
                    None => {
                        let flags = if name.is_secret() { NEVER_INDEXED } else { 0 };
                        write_integer(out, NAME_INDEXED | flags, 4, first);
                    }
                }
            }
            None => {
                write_integer(out, LITERAL, 3, name.text.len());
                let start = out.len();
                out.extend_from_slice(name.text);
                out[start..].make_ascii_lowercase();
            }
        }
        write_integer(out, 0, 7, value.len());
        out.extend_from_slice(value);
    }
}

/// Where the static table has a name first, for names that responses have; in lower case.
fn find(name: &[u8]) -> Option<usize> {
    Some(match name {
        b"age" => 2,
        b"content-disposition" => 3,
        b"content-length" => 4,
        b"date" => 6,
        b"etag" => 7,
        b"last-modified" => 10,
        b"link" => 11,
        b"location" => 12,
        b"set-cookie" => 14,
        b"accept-ranges" => 32,
        b"access-control-allow-headers" => 33,
        b"access-control-allow-origin" => 35,
        b"cache-control" => 36,
        b"content-encoding" => 42,
        b"content-type" => 44,
        b"strict-transport-security" => 56,
        b"vary" => 59,
        b"x-content-type-options" => 61,
        b"x-xss-protection" => 62,
        b"access-control-allow-credentials" => 73,
        b"access-control-allow-methods" => 76,
        b"access-control-expose-headers" => 79,
        b"alt-svc" => 83,
        b"content-security-policy" => 85,
        b"server" => 92,
        b"timing-allow-origin" => 93,
        b"x-frame-options" => 97,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qpack::Decoder;

    fn section(write: impl FnOnce(&mut Section<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut Section::begin(&mut out));
        out
    }

    #[test]
    fn fields_are_written_as_short_as_they_are_without_tables() {
        let block = section(|section| {
            section.status(200);
            section.status(599);
            section.field(Name::of(b"content-type"), b"text/plain");
            section.field(Name::of(b"content-type"), b"text/x");
            section.field(Name::unknown(b"X-A"), b"");
            section.field(Name::of(b"set-cookie"), b"a=b");
        });
        assert_eq!(block, b"\x00\x00\xd9\x5f\x09\x03599\xf5\x5f\x1d\x06text/x\x23x-a\x00\x7e\x03a=b",);
    }

    #[test]
    fn the_table_is_found_in_and_read_back() {
        for (index, entry) in TABLE.iter().enumerate() {
            if let Some(first) = find(entry.name()) {
                let wanted = TABLE.iter().position(|other| other.name() == entry.name());
                assert_eq!(Some(first), wanted, "{index}");
            }
            if entry.name().starts_with(b":") {
                continue;
            }
            let block = section(|section| section.field(Name::of(entry.name()), entry.value()));
            let mut decoder = Decoder::new(&block).unwrap();
            assert_eq!(decoder.next().unwrap().unwrap().text, entry.line, "{index}");
        }
        for status in 100..1000 {
            let block = section(|section| section.status(status));
            let mut decoder = Decoder::new(&block).unwrap();
            let text = decoder.next().unwrap().unwrap().text;
            assert_eq!(text, format!(":status: {status}\r\n").as_bytes());
        }
    }
}
