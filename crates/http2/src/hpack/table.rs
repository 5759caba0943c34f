//! The decoder's dynamic table (RFC 7541 §2.3.2, §4).
//!
//! Entries are kept as lines of text, so that an indexed field is one copy into the head that it belongs to. The lines
//! stand one behind the other in one piece of memory; old ones leave at its beginning.

use crate::message::Kind;
use std::collections::VecDeque;

/// The size that HTTP/2 begins with, and ours: SETTINGS_HEADER_TABLE_SIZE is never sent. Larger tables save browsers
/// nothing worth the memory of ten thousand connections.
pub const TABLE_BYTES: usize = 4096;
/// What an entry counts besides its name and its value (RFC 7541 §4.1).
const OVERHEAD: usize = 32;
/// What a line has besides them: a colon, a space, and a line end.
const PUNCTUATION: usize = 4;

/// Where an entry's line is.
#[derive(Clone, Copy)]
struct Entry {
    /// Bytes of lines that were ever added before it, modulo 2^32.
    at: u32,
    bytes: u16,
    name_bytes: u16,
    kind: Kind,
    is_sound: bool,
}

/// A field as the table keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'t> {
    /// `name: value CRLF`
    pub text: &'t [u8],
    /// Bytes of its name.
    pub name_bytes: usize,
    /// What it means.
    pub kind: Kind,
    /// Whether the value may stand in a message.
    pub is_sound: bool,
}

impl<'t> Line<'t> {
    /// The name.
    pub fn name(&self) -> &'t [u8] {
        &self.text[..self.name_bytes]
    }

    /// The value.
    pub fn value(&self) -> &'t [u8] {
        &self.text[self.name_bytes + 2..self.text.len() - 2]
    }
}

/// The table.
pub struct Table {
    lines: Vec<u8>,
    /// What of `lines` belongs to entries that have left.
    start: usize,
    /// What `Entry::at` is for `lines[0]`.
    origin: u32,
    /// The newest is the first.
    entries: VecDeque<Entry>,
    /// Of all entries, as RFC 7541 §4.1 counts.
    bytes: usize,
    /// What `bytes` may be.
    capacity: usize,
}

impl Table {
    pub const fn new() -> Self {
        Self {
            lines: Vec::new(),
            start: 0,
            origin: 0,
            entries: VecDeque::new(),
            bytes: 0,
            capacity: TABLE_BYTES,
        }
    }

    /// The entry that was added `age` entries before the last.
    #[inline]
    pub fn line(&self, age: usize) -> Option<Line<'_>> {
        let entry = self.entries.get(age)?;
        let at = entry.at.wrapping_sub(self.origin) as usize;
        Some(Line {
            text: &self.lines[at..at + usize::from(entry.bytes)],
            name_bytes: usize::from(entry.name_bytes),
            kind: entry.kind,
            is_sound: entry.is_sound,
        })
    }

    /// Adds an entry; older ones leave. One that is larger than the table empties it (RFC 7541 §4.4).
    #[allow(
        clippy::cast_possible_truncation,
        reason = "offsets are modulo 2^32; no line is longer than the table"
    )]
    pub fn insert(&mut self, line: Line<'_>) {
        let bytes = line.text.len() - PUNCTUATION + OVERHEAD;
        if bytes > self.capacity {
            return self.shrink_to(0);
        }
        self.shrink_to(self.capacity - bytes);
        // What has left is dropped once it is half of the memory: each line is moved at most once more.
        if self.start > self.lines.len() / 2 {
            self.lines.drain(..self.start);
            self.origin = self.origin.wrapping_add(self.start as u32);
            self.start = 0;
        }
        self.entries.push_front(Entry {
            at: self.origin.wrapping_add(self.lines.len() as u32),
            bytes: line.text.len() as u16,
            name_bytes: line.name_bytes as u16,
            kind: line.kind,
            is_sound: line.is_sound,
        });
        self.lines.extend_from_slice(line.text);
        self.bytes += bytes;
    }

    /// Follows a dynamic table size update (RFC 7541 §6.3).
    pub fn resize(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.shrink_to(capacity);
    }

    /// Lets the oldest entries go until no more than `bytes` are left.
    fn shrink_to(&mut self, bytes: usize) {
        while self.bytes > bytes {
            let Some(entry) = self.entries.pop_back() else { return };
            self.bytes -= usize::from(entry.bytes) - PUNCTUATION + OVERHEAD;
            self.start += usize::from(entry.bytes);
        }
    }

    /// As RFC 7541 §4.1 counts.
    #[cfg(test)]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Memory, to be bounded.
    #[cfg(test)]
    pub fn memory(&self) -> usize {
        self.lines.capacity() + self.entries.capacity() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &[u8]) -> Line<'_> {
        let name_bytes = text.iter().position(|&byte| byte == b':').unwrap();
        Line { text, name_bytes, kind: Kind::Other, is_sound: true }
    }

    #[test]
    fn entries_leave_in_order_and_memory_stays_small() {
        let mut table = Table::new();
        let texts: Vec<String> =
            (0..3000).map(|number| format!("n{number}: {}\r\n", "v".repeat(number * 7 % 200))).collect();
        for (number, text) in texts.iter().enumerate() {
            table.insert(line(text.as_bytes()));
            let kept = table.entries.len();
            for age in 0..kept {
                assert_eq!(table.line(age), Some(line(texts[number - age].as_bytes())));
            }
            assert!(table.line(kept).is_none() && table.bytes() <= TABLE_BYTES);
        }
        assert!(table.memory() < 4 * TABLE_BYTES);
    }

    #[test]
    fn an_entry_larger_than_the_table_empties_it() {
        let mut table = Table::new();
        table.insert(line(b"a: b\r\n"));
        assert_eq!(table.bytes(), 34);
        table.insert(line(format!("a: {}\r\n", "b".repeat(TABLE_BYTES - 32)).as_bytes()));
        assert_eq!((table.bytes(), table.entries.len()), (0, 0));
        table.insert(line(format!("a: {}\r\n", "b".repeat(TABLE_BYTES - 33)).as_bytes()));
        assert_eq!((table.bytes(), table.entries.len()), (TABLE_BYTES, 1));
        table.resize(33);
        table.insert(line(b"a: \r\n"));
        assert_eq!((table.bytes(), table.entries.len()), (33, 1));
        table.insert(line(b"b: \r\n"));
        assert_eq!(table.line(0).map(|line| line.name()), Some(&b"b"[..]));
        assert_eq!((table.bytes(), table.entries.len()), (33, 1));
    }
}
