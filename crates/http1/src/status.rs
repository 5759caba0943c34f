//! Status lines and the phrases that go with statuses.

use crate::head::Version;

/// The phrase that IANA's registry gives a status; empty for those it does not list.
#[must_use]
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}

/// Appends `HTTP/1.1 200 OK` and the line end; the space before an empty reason stays (RFC 9112 §4).
///
/// `status` is 100 to 999, and `reason` holds no controls: as [`crate::ResponseHead`] and
/// [`reason_phrase`] give them.
#[inline]
pub fn write_status_line(out: &mut Vec<u8>, version: Version, status: u16, reason: &str) {
    debug_assert!((100..=999).contains(&status));
    let digit = |value: u16| b"0123456789"[usize::from(value % 10)];
    out.extend_from_slice(version.as_str().as_bytes());
    out.extend_from_slice(&[b' ', digit(status / 100), digit(status / 10), digit(status), b' ']);
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_written_as_the_grammar_wants_it() {
        let mut out = Vec::new();
        write_status_line(&mut out, Version::Http11, 404, reason_phrase(404));
        write_status_line(&mut out, Version::Http10, 999, reason_phrase(999));
        assert_eq!(out, b"HTTP/1.1 404 Not Found\r\nHTTP/1.0 999 \r\n");
    }
}
