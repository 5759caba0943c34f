//! The combined log format (as Apache and nginx write it), with Evenly's fields behind it:
//! `CLIENT - USER [TIME] "REQUEST" STATUS BYTES "REFERER" "AGENT" ID ROUTE POOL ENDPOINT REASON TOTAL_MS UPSTREAM_MS ATTEMPTS
//! AFFINITY`.
//! What is absent is `-`.

use super::{Asked, Names};
use crate::clock;
use crate::metrics::Record;
use std::io::Write;

/// Writes what is known from the request, and between the request and the referrer leaves out the status and the
/// bytes: returns where they go.
pub(super) fn begin(out: &mut Vec<u8>, asked: &Asked<'_>) -> usize {
    // Writing to memory does not fail.
    let _ = write!(out, "{} - - [", asked.client);
    clock::write_log_date(out);
    out.extend_from_slice(b"] \"");
    if asked.method.is_empty() {
        escape(out, asked.protocol.as_bytes());
    } else {
        let _ = write!(out, "{} ", asked.method);
        escape(out, asked.target.as_bytes());
        let _ = write!(out, " {}", asked.protocol);
    }
    out.extend_from_slice(b"\" ");
    let split = out.len();
    for value in [asked.referer, asked.user_agent] {
        out.push(b'"');
        escape(out, if value.is_empty() { b"-" } else { value });
        out.extend_from_slice(b"\" ");
    }
    escape(out, if asked.request_id.is_empty() { b"-" } else { asked.request_id.as_bytes() });
    split
}

/// Writes the user's name into its place, where a `-` stands; by how many bytes that moves what follows.
pub(super) fn user(out: &mut Vec<u8>, name: &str) -> usize {
    let mut escaped = Vec::with_capacity(name.len());
    // A space would end the field.
    name.split(' ').enumerate().for_each(|(i, part)| {
        escaped.extend_from_slice(if i > 0 { b"\\x20" } else { b"" });
        escape(&mut escaped, part.as_bytes());
    });
    let before = out.len();
    if let Some(at) = out.windows(5).position(|five| five == b" - - ") {
        out.splice(at + 3..at + 4, escaped);
    }
    out.len() - before
}

/// Writes what is known at the end.
pub(super) fn finish(out: &mut Vec<u8>, split: usize, record: &Record, names: &Names<'_>) {
    let mut middle = [0_u8; 32];
    let mut rest = &mut middle[..];
    let room = rest.len();
    let _ = write!(rest, "{} {} ", record.status, record.bytes_out);
    let length = room - rest.len();
    out.splice(split..split, middle[..length].iter().copied());
    let _ = write!(out, " {} {} ", names.route.unwrap_or("-"), names.pool.unwrap_or("-"));
    match names.endpoint {
        Some(endpoint) => {
            let _ = write!(out, "{endpoint} ");
        }
        None => out.extend_from_slice(b"- "),
    }
    let reason = record.failure.map_or("-", evenly_core::error::Failure::reason);
    let affinity = Some(record.affinity.outcome.reason()).filter(|word| !word.is_empty()).unwrap_or("-");
    let (total, upstream) = (record.total_nanos / 1000, record.upstream_nanos / 1000);
    let _ = writeln!(
        out,
        "{reason} {}.{:03} {}.{:03} {} {affinity}",
        total / 1000,
        total % 1000,
        upstream / 1000,
        upstream % 1000,
        record.attempts
    );
}

/// Quotes, backslashes, controls and bytes above ASCII become `\xHH`, so that a field cannot forge another.
fn escape(out: &mut Vec<u8>, value: &[u8]) {
    for &byte in value {
        match byte {
            b'"' | b'\\' | 0..0x20 | 0x7f.. => {
                let _ = write!(out, "\\x{byte:02X}");
            }
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_stands_in_its_place() {
        let mut out = b"192.0.2.1 - - [now] \"GET / HTTP/1.1\" ".to_vec();
        let before = out.len();
        assert_eq!(user(&mut out, "ada \"x\""), out.len() - before);
        assert!(
            out.starts_with(b"192.0.2.1 - ada\\x20\\x22x\\x22 [now]"),
            "{}",
            String::from_utf8_lossy(&out)
        );
    }

    #[test]
    fn a_field_cannot_leave_its_quotes() {
        let mut out = Vec::new();
        escape(&mut out, b"a\" 200 \\\n\xff");
        assert_eq!(out, b"a\\x22 200 \\x5C\\x0A\\xFF");
    }
}
