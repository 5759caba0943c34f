//! Limits, borrowed results and errors of request heads; the messages themselves are in `tests/golden/http1`.

use super::super::{FieldKind, MAX_FIELDS};
use super::*;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 100, fields: 3, target_bytes: 10 };

fn status(raw: &[u8]) -> Option<u16> {
    parse_request(raw, &LIMITS, &mut Slots::new()).err().map(|error| error.status())
}

#[test]
fn a_head_may_fill_the_limit_and_no_more() {
    let start = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".as_slice();
    for (length, expected) in [(99, None), (100, None), (101, Some(431)), (102, Some(431)), (200, Some(431))]
    {
        let mut raw = start.to_vec();
        raw.resize(length - 4, b'x');
        raw.extend_from_slice(b"\r\n\r\n");
        assert_eq!(status(&raw), expected, "{length}");
    }
}

#[test]
fn bytes_behind_the_head_do_not_count_against_its_limit() {
    let mut raw = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n".to_vec();
    raw.resize(raw.len() + 500, b'x');
    assert_eq!(status(&raw), None);
}

#[test]
fn an_incomplete_head_is_refused_once_it_reaches_a_limit() {
    let mut raw = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
    raw.resize(99, b'x');
    assert_eq!(parse_request(&raw, &LIMITS, &mut Slots::new()), Ok(None));
    raw.push(b'x');
    assert_eq!(status(&raw), Some(431));
    assert_eq!(parse_request(b"GET /123456789", &LIMITS, &mut Slots::new()), Ok(None));
    assert_eq!(status(b"GET /1234567890"), Some(414));
    assert_eq!(parse_request(&[b'M'; 32], &LIMITS, &mut Slots::new()), Ok(None));
    assert_eq!(status(&[b'M'; 33]), Some(501));
    assert_eq!(status(b"GET / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\nD:\r\n"), Some(431));
}

#[test]
fn no_limit_goes_beyond_the_ceiling_of_fields() {
    let limits = HeadLimits { head_bytes: usize::MAX, fields: usize::MAX, target_bytes: usize::MAX };
    for (count, expected) in [(MAX_FIELDS, None), (MAX_FIELDS + 1, Some(RequestError::TooManyFields))] {
        let fields = "X: 1\r\n".repeat(count - 1);
        let raw = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut slots = Slots::new();
        let parsed = parse_request(raw.as_bytes(), &limits, &mut slots);
        assert_eq!(parsed.err(), expected);
        if let Ok(Some(head)) = parsed {
            assert_eq!(head.fields.len(), count);
            assert!(head.fields[1..].iter().all(|field| &*field.name == "X" && field.value == b"1"));
        }
    }
}

#[test]
fn slots_serve_one_head_after_another() {
    let many = format!("GET / HTTP/1.0\r\n{}\r\n", "X: 1\r\n".repeat(90));
    let limits = HeadLimits { head_bytes: 4096, fields: 100, target_bytes: 10 };
    let mut slots = Slots::new();
    for count in [90, 0, 90] {
        let raw = if count == 0 { "GET / HTTP/1.0\r\n\r\n" } else { many.as_str() };
        let head = parse_request(raw.as_bytes(), &limits, &mut slots).unwrap().unwrap();
        assert_eq!(head.fields.len(), count);
    }
}

#[test]
fn fields_for_one_connection_are_marked() {
    let raw =
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x-a, cookie, Via\r\nTE: trailers\r\nX-A: 1\r\nX-B: 2\r\n\
        Cookie: c\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nVia: d\r\n\r\n";
    let limits = HeadLimits { head_bytes: 4096, fields: 100, target_bytes: 10 };
    let mut slots = Slots::new();
    let head = parse_request(raw, &limits, &mut slots).unwrap().unwrap();
    let dropped: Vec<&str> =
        head.fields.iter().filter(|field| field.hop).map(|field| field.name.as_str()).collect();
    assert_eq!(dropped, ["Connection", "TE", "X-A", "Keep-Alive", "Proxy-Connection", "Via"]);
    let mut out = Vec::new();
    head.copy_fields(&mut out, |field| !field.hop && field.kind != FieldKind::Host);
    assert_eq!(out, b"X-B: 2\r\nCookie: c\r\n");
}

#[test]
fn every_error_has_a_reason_that_says_more_than_its_status() {
    for error in [
        RequestError::BadSyntax("bare LF"),
        RequestError::HeadTooLarge,
        RequestError::TooManyFields,
        RequestError::TargetTooLong,
        RequestError::MethodTooLong,
        RequestError::Version,
        RequestError::TransferCoding,
        RequestError::Expectation,
    ] {
        assert_eq!(error.to_string(), error.reason());
        assert_ne!(error.reason(), crate::reason_phrase(error.status()));
    }
}
