//! Writes header blocks (RFC 7541 §6).
//!
//! Without a dynamic table and without Huffman code: both save bytes, and cost more time on this side than the copy
//! of the bytes they save. What is usual, statuses and names, is in the static table. So a block depends on nothing, a
//! peer's SETTINGS_HEADER_TABLE_SIZE is always obeyed, and a secret never meets a guess in a table (RFC 7541 §7.1).

use super::fixed::TABLE;
use crate::message::Kind;

/// What the first block of a connection begins with: the dynamic table has size 0 and so can never be too large
/// (RFC 7541 §6.3, RFC 9113 §4.3.1).
pub const FIRST_OCTET: u8 = 0x20;

/// A literal that no recipient may put into a table (RFC 7541 §6.2.3).
const NEVER_INDEXED: u8 = 0x10;

/// Writes a field that the static table has as a whole.
pub fn write_index(out: &mut Vec<u8>, index: u8) {
    debug_assert!((1..=61).contains(&index));
    out.push(0x80 | index);
}

/// Writes `:status`, 100 to 999.
pub fn write_status(out: &mut Vec<u8>, status: u16) {
    let index = match status {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => {
            let digit = |value: u16| b"0123456789"[usize::from(value % 10)];
            out.extend_from_slice(&[8, 3, digit(status / 100), digit(status / 10), digit(status)]);
            return;
        }
    };
    write_index(out, index);
}

/// Where fields are written to: the block of one of the compressions.
pub trait Coding {
    /// Writes `:status`, 100 to 999.
    fn status(&mut self, status: u16);
    /// Writes a field; its name will be in lower case.
    fn field(&mut self, name: Name<'_>, value: &[u8]);
}

impl Coding for Vec<u8> {
    #[inline]
    fn status(&mut self, status: u16) {
        write_status(self, status);
    }

    #[inline]
    fn field(&mut self, name: Name<'_>, value: &[u8]) {
        write_named(self, name, value);
    }
}

/// A name, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Name<'n> {
    /// A token or a pseudo-header's name.
    pub text: &'n [u8],
    /// What it means.
    pub kind: Kind,
    /// Its first entry in the static table, if it has one.
    index: Option<usize>,
    /// How a literal with it begins.
    flags: u8,
}

impl Name<'_> {
    /// Whether its value is a secret that no compression may keep (RFC 7541 §7.1.3, RFC 9204 §7.1.3).
    pub const fn is_secret(&self) -> bool {
        self.flags & NEVER_INDEXED != 0
    }
}

impl<'n> Name<'n> {
    /// What is known of a name in lower case.
    #[inline]
    pub fn of(text: &'n [u8]) -> Self {
        let Some(index) = index_of(text) else {
            return Self { kind: Kind::known(text), ..Self::unknown(text) };
        };
        // Low-entropy secrets: RFC 7541 §7.1.3.
        let is_secret = matches!(text, b"authorization" | b"cookie" | b"set-cookie" | b"proxy-authorization");
        let flags = if is_secret { NEVER_INDEXED } else { 0 };
        Self { text, kind: TABLE[index - 1].kind, index: Some(index), flags }
    }

    /// A name that means nothing here, in any case.
    pub const fn unknown(text: &'n [u8]) -> Self {
        Self { text, kind: Kind::Other, index: None, flags: 0 }
    }
}

/// Writes a field whose name is in lower case.
#[inline]
pub fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    write_named(out, Name::of(name), value);
}

/// Writes a field; its name will be in lower case.
#[inline]
pub fn write_named(out: &mut Vec<u8>, name: Name<'_>, value: &[u8]) {
    match name.index {
        Some(index) => write_integer(out, name.flags, 4, index),
        None => {
            out.push(0);
            write_integer(out, 0, 7, name.text.len());
            let start = out.len();
            out.extend_from_slice(name.text);
            out[start..].make_ascii_lowercase();
        }
    }
    write_integer(out, 0, 7, value.len());
    out.extend_from_slice(value);
}

/// Where the static table has a name first.
#[inline]
fn index_of(name: &[u8]) -> Option<usize> {
    let (length, first, last) = (name.len(), *name.first()?, *name.last()?);
    let index = usize::from(NAMES[slot(length, first, last)]);
    let entry = TABLE.get(index.checked_sub(1)?)?;
    (entry.line.get(..entry.name_bytes) == Some(name)).then_some(index)
}

/// The static table's names by [`slot`], which tells all of them apart.
static NAMES: [u8; SLOTS] = names();
const SLOTS: usize = 128;

#[inline]
const fn slot(length: usize, first: u8, last: u8) -> usize {
    (length * 15 + first as usize * 14 + last as usize * 39) % SLOTS
}

#[allow(clippy::cast_possible_truncation, reason = "the table has 61 entries")]
const fn names() -> [u8; SLOTS] {
    let mut names = [0; SLOTS];
    let mut index = TABLE.len();
    // Backwards: of the entries with one name, the first counts.
    while index > 0 {
        let Line { name_bytes, line } = line(index);
        let at = slot(name_bytes, line[0], line[name_bytes - 1]);
        names[at] = index as u8;
        index -= 1;
    }
    names
}

struct Line {
    name_bytes: usize,
    line: &'static [u8],
}

const fn line(index: usize) -> Line {
    let entry = &TABLE[index - 1];
    Line { name_bytes: entry.name_bytes, line: entry.line }
}

/// Writes an integer behind `flags` in the first byte, which has `prefix` bits of it (RFC 7541 §5.1).
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "each byte is masked before")]
pub fn write_integer(out: &mut Vec<u8>, flags: u8, prefix: u32, value: usize) {
    let most = (1usize << prefix) - 1;
    if value < most {
        return out.push(flags | value as u8);
    }
    out.push(flags | most as u8);
    let mut rest = value - most;
    while rest >= 0x80 {
        out.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_static_table_is_found() {
        for (index, entry) in TABLE.iter().enumerate() {
            let name = &entry.line[..entry.name_bytes];
            let first = TABLE.iter().position(|other| &other.line[..other.name_bytes] == name).unwrap();
            assert_eq!(index_of(name), Some(first + 1), "{index}");
        }
        assert_eq!(index_of(b"x-other"), None);
        assert_eq!(index_of(b""), None);
    }

    #[test]
    fn fields_are_written_as_short_as_they_are_without_tables() {
        let mut out = Vec::new();
        write_status(&mut out, 200);
        write_status(&mut out, 503);
        write_field(&mut out, b"content-type", b"text/plain");
        write_field(&mut out, b"X-A", b"");
        write_field(&mut out, b"set-cookie", b"a=b");
        assert_eq!(out, b"\x88\x08\x03503\x0f\x10\x0atext/plain\x00\x03x-a\x00\x1f\x28\x03a=b");
    }

    #[test]
    fn integers_are_those_of_the_rfc() {
        let written = |prefix, value| {
            let mut out = Vec::new();
            write_integer(&mut out, 0, prefix, value);
            out
        };
        assert_eq!(written(5, 10), [0b0_1010]);
        assert_eq!(written(5, 1337), [0b1_1111, 0b1001_1010, 0b0000_1010]);
        assert_eq!(written(8, 42), [0b0010_1010]);
    }
}
