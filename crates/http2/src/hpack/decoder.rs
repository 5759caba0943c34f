//! Reads header blocks (RFC 7541 §6).

use super::fixed::{self, TABLE};
use super::huffman;
use super::table::{Line, TABLE_BYTES, Table};
use crate::message::{Kind, is_value};

/// A field of a block, as a line of text.
pub type Field<'t> = Line<'t>;

/// A block that cannot be read; the connection's compression state is lost with it (RFC 9113 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompressionError(pub &'static str);

/// A block while it is read.
pub struct Block<'b> {
    rest: &'b [u8],
    /// A field was read: a size update may not follow any more.
    has_begun: bool,
}

impl<'b> Block<'b> {
    pub const fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes, has_begun: false }
    }
}

/// The state of one direction of a connection.
pub struct Decoder {
    table: Table,
    /// The line of a literal field.
    line: Vec<u8>,
}

impl Decoder {
    pub const fn new() -> Self {
        Self { table: Table::new(), line: Vec::new() }
    }

    /// The next field; `None` at the end of the block.
    ///
    /// # Errors
    /// [`CompressionError`].
    #[inline]
    pub fn next(&mut self, block: &mut Block<'_>) -> Result<Option<Field<'_>>, CompressionError> {
        loop {
            let Some(&first) = block.rest.first() else { return Ok(None) };
            if first & 0xe0 == 0x20 {
                self.resize(block)?;
                continue;
            }
            block.has_begun = true;
            return match first {
                0x80.. => {
                    let index = integer(&mut block.rest, 7)?;
                    self.indexed(index).map(Some)
                }
                // With incremental indexing: the table keeps it.
                0x40..0x80 => self.literal(block, 6).map(|line| {
                    let line = Line { text: &self.line, ..line };
                    self.table.insert(line);
                    Some(line)
                }),
                // Without indexing, or never to be indexed: whoever sends it on decides that anew, by its name.
                _ => self.literal(block, 4).map(|line| Some(Line { text: &self.line, ..line })),
            };
        }
    }

    /// Gives back memory.
    pub fn rest(&mut self) {
        self.line = Vec::new();
    }

    /// A dynamic table size update, which stands only at the beginning of a block (RFC 7541 §4.2).
    #[cold]
    fn resize(&mut self, block: &mut Block<'_>) -> Result<(), CompressionError> {
        if block.has_begun {
            return Err(CompressionError("table size update behind a field"));
        }
        let capacity = integer(&mut block.rest, 5)?;
        if capacity > TABLE_BYTES {
            return Err(CompressionError("table size beyond the setting"));
        }
        self.table.resize(capacity);
        Ok(())
    }

    #[inline]
    fn indexed(&self, index: usize) -> Result<Line<'_>, CompressionError> {
        match index {
            0 => Err(CompressionError("index 0")),
            1..=fixed::COUNT => {
                let entry = &TABLE[index - 1];
                let (name_bytes, kind) = (entry.name_bytes, entry.kind);
                Ok(Line { text: entry.line, name_bytes, kind, is_sound: true })
            }
            _ => self.table.line(index - fixed::COUNT - 1).ok_or(CompressionError("index beyond the table")),
        }
    }

    /// Reads a literal field into `self.line`. The text of what is returned is empty: it is the caller's to borrow.
    fn literal(&mut self, block: &mut Block<'_>, prefix: u32) -> Result<Line<'static>, CompressionError> {
        let index = integer(&mut block.rest, prefix)?;
        let mut line = std::mem::take(&mut self.line);
        let read = self.read_literal(block, index, &mut line);
        self.line = line;
        read
    }

    fn read_literal(
        &self,
        block: &mut Block<'_>,
        index: usize,
        line: &mut Vec<u8>,
    ) -> Result<Line<'static>, CompressionError> {
        line.clear();
        let kind = if index == 0 {
            string(&mut block.rest, 7, line)?;
            Kind::of(line)
        } else {
            let known = self.indexed(index)?;
            line.extend_from_slice(known.name());
            known.kind
        };
        let name_bytes = line.len();
        line.extend_from_slice(b": ");
        string(&mut block.rest, 7, line)?;
        let is_sound = is_value(&line[name_bytes + 2..]);
        line.extend_from_slice(b"\r\n");
        Ok(Line { text: b"", name_bytes, kind, is_sound })
    }
}

/// Reads an integer whose first byte has `prefix` bits of it (RFC 7541 §5.1).
///
/// # Errors
/// The block ends in it, or it is too large for anything in a block.
#[inline]
pub fn integer(rest: &mut &[u8], prefix: u32) -> Result<usize, CompressionError> {
    let Some((first, behind)) = rest.split_first() else {
        return Err(CompressionError("block ends in a number"));
    };
    *rest = behind;
    let most = (1usize << prefix) - 1;
    let value = usize::from(*first) & most;
    if value < most { Ok(value) } else { long_integer(rest, most) }
}

/// Nothing in a block is 2^28 long, and zeros in front only hide things: four bytes must do.
#[cold]
fn long_integer(rest: &mut &[u8], start: usize) -> Result<usize, CompressionError> {
    let mut value = start;
    for shift in [0, 7, 14, 21] {
        let Some((byte, behind)) = rest.split_first() else {
            return Err(CompressionError("block ends in a number"));
        };
        *rest = behind;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(CompressionError("number too large"))
}

/// Reads a string and appends it to `out` (RFC 7541 §5.2); its first byte has `prefix` bits of the length, and above
/// them the one that says whether it is Huffman code.
///
/// # Errors
/// The block ends in it, or it is no Huffman code.
#[inline]
pub fn string(rest: &mut &[u8], prefix: u32, out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let is_coded = rest.first().is_some_and(|first| first & (1 << prefix) != 0);
    let length = integer(rest, prefix)?;
    let Some((bytes, behind)) = rest.split_at_checked(length) else {
        return Err(CompressionError("string longer than the block"));
    };
    *rest = behind;
    if is_coded {
        return huffman::decode(bytes, out).map_err(|_| CompressionError("invalid Huffman code"));
    }
    out.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests;
