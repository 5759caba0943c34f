//! Cuts the field lines of a head: `name ":" OWS value OWS CRLF` until the empty line (RFC 9112 §5).
//!
//! One pass: a line's name and value are found, checked, classified and noted before the next line is looked at.

use super::facts::Facts;
use super::fields::{Collected, Field, Slots};
use super::kind::FieldKind;
use super::scan::{plain_name_length, value_length};
use super::{Fault, is_token_byte};

/// All fields of a head.
pub(super) struct Lines<'b, 's> {
    pub fields: &'s mut [Field<'b>],
    /// Where the head ends, behind the empty line.
    pub end: usize,
}

/// Reads the field lines from `start` to the empty line and notes in `facts` what they say; `None` when `head` ends
/// before it.
#[inline]
pub(super) fn read_lines<'b, 's>(
    head: &'b [u8],
    start: usize,
    limit: usize,
    slots: &'s mut Slots<'b>,
    facts: &mut Facts<'b>,
) -> Result<Option<Lines<'b, 's>>, Fault> {
    let mut fields: Collected<'b, 's> = slots.collect(limit);
    let mut line = head.get(start..).unwrap_or_default();
    while !matches!(line, [b'\r', ..]) {
        let Some((name, behind)) = split_name(line)? else { return Ok(None) };
        let Some((value, rest)) = split_value(skip_white_space(behind))? else { return Ok(None) };
        let kind = FieldKind::of(name);
        let (start, end) = (head.len() - line.len(), head.len() - rest.len());
        fields.push(Field::new(kind, name, value, start, end)).map_err(|_| Fault::TooManyFields)?;
        if kind.is_noted() {
            facts.note(kind, value)?;
        }
        line = rest;
    }
    match line {
        [_, b'\n', behind @ ..] => {
            let fields = fields.finish();
            facts.options.mark_named(fields)?;
            Ok(Some(Lines { fields, end: head.len() - behind.len() }))
        }
        [_, _, ..] => Err(Fault::Syntax("bare CR")),
        _ => Ok(None),
    }
}

/// A field line by itself, split off a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldLine<'b> {
    /// A token.
    pub name: &'b [u8],
    /// Without white space around it, and without controls but TAB.
    pub value: &'b [u8],
    /// What stands behind the line.
    pub rest: &'b [u8],
}

/// Splits the first field line off `text`, which ends with a whole line.
///
/// # Errors
/// What is wrong with the line.
#[inline]
pub fn split_field(text: &[u8]) -> Result<FieldLine<'_>, &'static str> {
    let read = || match split_name(text)? {
        Some((name, behind)) => {
            Ok(split_value(skip_white_space(behind))?.map(|(value, rest)| FieldLine { name, value, rest }))
        }
        None => Ok(None),
    };
    match read() {
        Ok(Some(field)) => Ok(field),
        Ok(None) => Err("field line without an end"),
        Err(Fault::Syntax(what)) => Err(what),
        Err(Fault::TooManyFields) => Err("too many header fields"),
    }
}

/// A part of the head and what stands behind the byte or bytes that end it; `None` if they are still to come.
type Split<'b> = Result<Option<(&'b [u8], &'b [u8])>, Fault>;

/// The name that `line` begins with, a token, and what stands behind its colon.
#[inline]
fn split_name(line: &[u8]) -> Split<'_> {
    match line.split_at_checked(plain_name_length(line)) {
        Some((name @ [_, ..], [b':', behind @ ..])) => Ok(Some((name, behind))),
        _ => split_name_slowly(line),
    }
}

/// As [`split_name`], for names with unusual bytes and for input that ends within the name.
#[cold]
#[inline(never)]
fn split_name_slowly(line: &[u8]) -> Split<'_> {
    let length = line.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(line.len());
    match line.split_at(length) {
        (_, []) => Ok(None),
        ([], [b' ' | b'\t', ..]) => Err(Fault::Syntax("folded or indented field line")),
        ([], [b':', ..]) => Err(Fault::Syntax("empty field name")),
        (name, [b':', behind @ ..]) => Ok(Some((name, behind))),
        (_, [b' ' | b'\t', ..]) => Err(Fault::Syntax("white space before a field's colon")),
        (_, [b'\r' | b'\n', ..]) => Err(Fault::Syntax("field line without a colon")),
        _ => Err(Fault::Syntax("invalid byte in a field name")),
    }
}

#[inline]
fn skip_white_space(mut bytes: &[u8]) -> &[u8] {
    // Nearly always one space and then something visible.
    match bytes {
        [b' ', rest @ ..] if matches!(rest, [b'!'..=u8::MAX, ..]) => return rest,
        _ => {}
    }
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// The value that `bytes` begins with, without white space behind it, and what stands behind its CRLF.
#[inline]
pub(super) fn split_value(bytes: &[u8]) -> Split<'_> {
    match bytes.split_at_checked(value_length(bytes)) {
        Some((value, [b'\r', b'\n', rest @ ..])) => Ok(Some((trim_end(value), rest))),
        Some((_, rest)) => check_unfinished_line(rest).map(|()| None),
        None => Ok(None),
    }
}

/// Behind a value there is something else than CRLF: the end of the input, or a fault.
#[cold]
#[inline(never)]
fn check_unfinished_line(rest: &[u8]) -> Result<(), Fault> {
    match rest {
        [] | [b'\r'] => Ok(()),
        [b'\r', ..] => Err(Fault::Syntax("bare CR")),
        [b'\n', ..] => Err(Fault::Syntax("bare LF")),
        _ => Err(Fault::Syntax("control byte in a field value")),
    }
}

#[inline]
fn trim_end(mut value: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_split_as_in_a_head() {
        let long = FieldLine { name: b"A-b", value: b"c d", rest: b"c: d\r\n" };
        assert_eq!(split_field(b"A-b: \t c d \t\r\nc: d\r\n"), Ok(long));
        let short = FieldLine { name: b"a_b", value: b"", rest: b"" };
        assert_eq!(split_field(b"a_b:\r\n"), Ok(short));
        for (text, what) in [
            (&b""[..], "field line without an end"),
            (b"a: b", "field line without an end"),
            (b"\r\n", "field line without a colon"),
            (b": b\r\n", "empty field name"),
            (b"a : b\r\n", "white space before a field's colon"),
            (b" a: b\r\n", "folded or indented field line"),
            (b"a: b\nc: d\r\n", "bare LF"),
            (b"a: b\rc: d\r\n", "bare CR"),
            (b"a: b\0\r\n", "control byte in a field value"),
        ] {
            assert_eq!(split_field(text), Err(what), "{text:?}");
        }
    }
}
