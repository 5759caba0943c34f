//! Reads field sections (RFC 9204 §4.5).

use super::fixed::{Fixed, TABLE};
use evenly_http2::fields::{CompressionError, Field, Kind, is_value, read_integer, read_string};

/// A field section while it is read.
pub struct Decoder<'b> {
    rest: &'b [u8],
    /// The line of a literal field.
    line: Vec<u8>,
}

impl<'b> Decoder<'b> {
    /// Reads a section's prefix.
    ///
    /// # Errors
    /// The section needs a dynamic table, which there is none of.
    pub fn new(block: &'b [u8]) -> Result<Self, CompressionError> {
        let mut rest = block;
        let required = read_integer(&mut rest, 8)?;
        let is_negative = rest.first().is_some_and(|first| first & 0x80 != 0);
        let _base = read_integer(&mut rest, 7)?;
        if required != 0 {
            return Err(CompressionError("a dynamic table is required"));
        }
        if is_negative {
            return Err(CompressionError("a base below zero"));
        }
        Ok(Self { rest, line: Vec::new() })
    }

    /// The next field; `None` at the end of the section.
    ///
    /// # Errors
    /// It is not as the RFC has it, or refers to a dynamic table.
    pub fn next(&mut self) -> Result<Option<Field<'_>>, CompressionError> {
        let Some(&first) = self.rest.first() else { return Ok(None) };
        match first {
            0xc0.. => {
                let index = read_integer(&mut self.rest, 6)?;
                let &Fixed { line: text, name_bytes, kind } = entry(index)?;
                Ok(Some(Field { text, name_bytes, kind, is_sound: true }))
            }
            0x50..0x60 | 0x70..0x80 => {
                let index = read_integer(&mut self.rest, 4)?;
                let entry = entry(index)?;
                self.line.clear();
                self.line.extend_from_slice(entry.name());
                self.value(entry.kind).map(Some)
            }
            0x20..0x40 => {
                self.line.clear();
                read_string(&mut self.rest, 3, &mut self.line)?;
                let kind = Kind::of(&self.line);
                self.value(kind).map(Some)
            }
            _ => Err(CompressionError("a reference to a dynamic table")),
        }
    }

    /// Reads the value behind the name in `self.line`.
    fn value(&mut self, kind: Kind) -> Result<Field<'_>, CompressionError> {
        let name_bytes = self.line.len();
        self.line.extend_from_slice(b": ");
        read_string(&mut self.rest, 7, &mut self.line)?;
        let is_sound = is_value(&self.line[name_bytes + 2..]);
        self.line.extend_from_slice(b"\r\n");
        Ok(Field { text: &self.line, name_bytes, kind, is_sound })
    }
}

fn entry(index: usize) -> Result<&'static Fixed, CompressionError> {
    TABLE.get(index).ok_or(CompressionError("an index beyond the static table"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(block: &[u8]) -> Result<String, CompressionError> {
        let mut decoder = Decoder::new(block)?;
        let mut text = Vec::new();
        while let Some(field) = decoder.next()? {
            assert_eq!(field.kind, Kind::of(field.name()));
            text.extend_from_slice(field.text);
        }
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 9204, Appendix B.1.
        let block = b"\x00\x00\x51\x0b/index.html";
        assert_eq!(lines(block), Ok(":path: /index.html\r\n".to_owned()));
    }

    #[test]
    fn every_representation_without_a_dynamic_table_is_read() {
        let block = b"\x00\x00\xd1\xff\x23\x70\x01a\x23x-a\x01b\x33x-b\x81\x1f\x5f\x50\x00";
        let wanted = ":method: GET\r\nx-frame-options: sameorigin\r\n:authority: a\r\nx-a: b\r\nx-b: a\r\n\
            user-agent: \r\n";
        assert_eq!(lines(block), Ok(wanted.to_owned()));
    }

    #[test]
    fn what_needs_a_dynamic_table_or_is_cut_is_refused() {
        for bad in [
            &b""[..],
            b"\x00",
            b"\x01\x00",
            b"\x00\x80",
            b"\x00\x00\x80",
            b"\x00\x00\x10",
            b"\x00\x00\x00\x00",
            b"\x00\x00\x40\x00",
            b"\x00\x00\xff\x24",
            b"\x00\x00\x51",
            b"\x00\x00\x51\x0b/",
            b"\x00\x00\x23x-",
            b"\x00\x00\x51\x81\xff",
        ] {
            assert!(lines(bad).is_err(), "{bad:?}");
        }
    }
}
