//! What responses do beyond the messages in `tests/golden/http1`.

use super::*;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 100, fields: 3, target_bytes: 0 };

#[test]
fn the_beginning_of_a_status_line_is_awaited_and_anything_else_refused_at_once() {
    for part in
        ["", "H", "HTTP/1.", "HTTP/1.0", "HTTP/1.1 20", "HTTP/1.1 200", "HTTP/1.1 200 O", "HTTP/1.1 200\r"]
    {
        assert_eq!(parse_response(part.as_bytes(), &LIMITS, "GET", &mut Slots::new()), Ok(None), "{part:?}");
    }
    for part in ["h", "HTTQ", "HTTP/2", "HTTP/1.2", "\r", "\n", " ", "HTTP/1.1\t", "HTTP/1.1 20x"] {
        assert!(parse_response(part.as_bytes(), &LIMITS, "GET", &mut Slots::new()).is_err(), "{part:?}");
    }
}

#[test]
fn a_head_without_end_is_refused_at_the_limit() {
    let mut raw = b"HTTP/1.1 200 ".to_vec();
    raw.resize(99, b'x');
    assert_eq!(parse_response(&raw, &LIMITS, "GET", &mut Slots::new()), Ok(None));
    raw.push(b'x');
    let error = parse_response(&raw, &LIMITS, "GET", &mut Slots::new()).unwrap_err();
    assert_eq!(error.reason(), "head too large");
}

#[test]
fn a_length_that_must_not_be_passed_on_is_marked() {
    let cases =
        [("204", "GET", true), ("200", "CONNECT", true), ("200", "GET", false), ("304", "GET", false)];
    for (status, method, hop) in cases {
        let raw = format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\n");
        let mut slots = Slots::new();
        let head = parse_response(raw.as_bytes(), &LIMITS, method, &mut slots).unwrap().unwrap();
        assert_eq!(head.fields[0].hop, hop, "{status} to {method}");
        let mut out = Vec::new();
        head.copy_fields(&mut out, |field| !field.hop);
        assert_eq!(out.is_empty(), hop);
    }
}
