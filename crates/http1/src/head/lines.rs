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
