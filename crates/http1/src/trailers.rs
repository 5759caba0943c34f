//! Trailers: which fields may stand behind a body (RFC 9110 §6.5.1).

use crate::head::{FieldKind, split_field};

/// What routes, modifies, guards or frames a message, or says how its content is to be read, has to be known before the
/// content is: a recipient that takes it from behind would decide anew. Besides those that [`FieldKind`] knows.
const BARRED: [&str; 24] = [
    "age",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-range",
    "content-type",
    "early-data",
    "expires",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "range",
    "referer",
    "retry-after",
    "sec-websocket-accept",
    "sec-websocket-key",
    "strict-transport-security",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-http-method-override",
];

/// Whether a field of this name, a token, may stand in trailers.
#[must_use]
pub fn may_trail(name: &str) -> bool {
    let is_known = !matches!(FieldKind::of(name.as_bytes()), FieldKind::Other | FieldKind::Server);
    let is_condition = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("if-"));
    !(is_known || is_condition || BARRED.iter().any(|barred| barred.eq_ignore_ascii_case(name)))
}

/// Keeps those of the `lines` whose name is wanted; what is no field is left out, with all behind it.
pub fn retain_trailers(lines: &mut Vec<u8>, mut keeps: impl FnMut(&str) -> bool) {
    let (mut kept, mut at) = (0, 0);
    while let Ok(line) = split_field(&lines[at..]) {
        let end = lines.len() - line.rest.len();
        if std::str::from_utf8(line.name).is_ok_and(&mut keeps) {
            lines.copy_within(at..end, kept);
            kept += end - at;
        }
        at = end;
    }
    lines.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_about_a_message_may_not_follow_it() {
        for name in ["grpc-status", "Grpc-Message", "X-Sum", "Digest", "Server-Timing", "Authentication-Info"]
        {
            assert!(may_trail(name), "{name}");
        }
        for name in [
            "Content-Length",
            "transfer-encoding",
            "Host",
            "TE",
            "Trailer",
            "Connection",
            "Cookie",
            "Set-Cookie",
            "Authorization",
            "Proxy-Authorization",
            "Content-Type",
            "If-None-Match",
            "X-Forwarded-For",
            "x_forwarded_for",
            "X-Client-Cert-SAN",
            "Date",
        ] {
            assert!(!may_trail(name), "{name}");
        }
    }

    #[test]
    fn lines_are_kept_as_they_are() {
        let mut lines = b"A: 1\r\nb:2\r\nHost: x\r\nC:\r\n\r\n".to_vec();
        retain_trailers(&mut lines, may_trail);
        assert_eq!(lines, b"A: 1\r\nb:2\r\nC:\r\n");
        retain_trailers(&mut lines, |_| false);
        assert_eq!(lines, b"");
        let mut lines = b"A: 1\r\nnone\r\nB: 2\r\n".to_vec();
        retain_trailers(&mut lines, may_trail);
        assert_eq!(lines, b"A: 1\r\n");
    }
}
