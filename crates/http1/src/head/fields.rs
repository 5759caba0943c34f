//! Field lines, where they are kept while a head is read, and how they are copied into the next head.

use super::kind::FieldKind;
use std::fmt;
use std::ops::Deref;

/// Field lines that any head may have, whatever is configured: Apache and nginx allow 100, and what a head with
/// more costs every check over its fields is not worth any known use.
pub const MAX_FIELDS: usize = 256;

/// Field lines that have room without the larger storage. Browsers send 10 to 20, and each costs three
/// stores for every head, used or not.
const FEW: usize = 20;

/// One field line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'b> {
    /// Which field it is.
    pub kind: FieldKind,
    /// For this connection only: by its kind, or because `Connection` names it. Never to be passed on.
    pub hop: bool,
    /// As the peer wrote it; a token.
    pub name: FieldName<'b>,
    /// Without the white space around it; free of controls except TAB, may hold bytes from 0x80.
    pub value: &'b [u8],
    /// Where the line begins in the head.
    start: u32,
    /// Where the next line begins.
    end: u32,
}

impl<'b> Field<'b> {
    const EMPTY: Self =
        Self { kind: FieldKind::Other, hop: false, name: FieldName(b""), value: b"", start: 0, end: 0 };

    /// The line from `start` to `end`, its line end included.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "no head is longer than u32::MAX: HeadLimits::window")]
    pub(super) fn new(kind: FieldKind, name: &'b [u8], value: &'b [u8], start: usize, end: usize) -> Self {
        let hop = kind.is_hop_by_hop();
        Self { kind, hop, name: FieldName(name), value, start: start as u32, end: end as u32 }
    }
}

/// A field's name: a token, so ASCII. It reads as a `str`; as most names are never read, it becomes one on use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FieldName<'b>(&'b [u8]);

impl<'b> FieldName<'b> {
    /// The name as bytes.
    #[inline]
    #[must_use]
    pub const fn as_bytes(self) -> &'b [u8] {
        self.0
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(self) -> &'b str {
        std::str::from_utf8(self.0).expect("only tokens become names, and they are ASCII")
    }
}

impl Deref for FieldName<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for FieldName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for FieldName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Room for the fields of one head, made by the caller on its stack. About 13 KiB, of which `new` writes one.
pub struct Slots<'b> {
    few: [Field<'b>; FEW],
    many: Option<[Field<'b>; MAX_FIELDS]>,
}

impl<'b> Slots<'b> {
    /// Empty slots.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { few: [Field::EMPTY; FEW], many: None }
    }

    /// A collection of at most `limit` fields that stores them here.
    #[inline]
    pub(super) fn collect<'s>(&'s mut self, limit: usize) -> Collected<'b, 's> {
        Collected { room: &mut self.few, more: Some(&mut self.many), count: 0, limit: limit.min(MAX_FIELDS) }
    }
}

impl Default for Slots<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// Fields on their way into the slots.
pub(super) struct Collected<'b, 's> {
    room: &'s mut [Field<'b>],
    more: Option<&'s mut Option<[Field<'b>; MAX_FIELDS]>>,
    count: usize,
    limit: usize,
}

impl<'b, 's> Collected<'b, 's> {
    /// Adds a field, or says that the limit is reached.
    #[inline]
    pub(super) fn push(&mut self, field: Field<'b>) -> Result<(), LimitReached> {
        if self.count >= self.limit {
            return Err(LimitReached);
        }
        if self.count == self.room.len() {
            self.grow()?;
        }
        self.room[self.count] = field;
        self.count += 1;
        Ok(())
    }

    /// The fields, in order.
    #[inline]
    pub(super) fn finish(self) -> &'s mut [Field<'b>] {
        self.room.split_at_mut(self.count).0
    }

    /// Moves on to the larger storage.
    #[cold]
    fn grow(&mut self) -> Result<(), LimitReached> {
        // Taken once only: the limit is reached before the larger storage is full.
        let Some(more) = self.more.take() else { return Err(LimitReached) };
        let many = more.insert([Field::EMPTY; MAX_FIELDS]);
        many[..self.room.len()].copy_from_slice(self.room);
        self.room = many;
        Ok(())
    }
}

/// As many fields as allowed are there already.
#[derive(Debug)]
pub(super) struct LimitReached;

/// Appends the lines in `head` of the fields that `keep` accepts; neighbours go in one copy.
#[inline]
pub(super) fn copy_lines<'b>(
    head: &[u8],
    fields: &[Field<'b>],
    out: &mut Vec<u8>,
    mut keep: impl FnMut(&Field<'b>) -> bool,
) {
    let mut span = 0..0;
    for field in fields.iter().filter(|field| keep(field)) {
        if field.start != span.end {
            out.extend_from_slice(&head[span.start as usize..span.end as usize]);
            span.start = field.start;
        }
        span.end = field.end;
    }
    out.extend_from_slice(&head[span.start as usize..span.end as usize]);
}
