//! A response becomes frames.

use crate::frame::{kind, write_header};
use crate::qpack::Section;
use evenly_http2::fields::{self, Exchange};

/// Writes HEADERS with a response's head, interim or final, and returns its status.
///
/// # Errors
/// What is wrong with the text; nothing was written then.
pub fn write_head(out: &mut Vec<u8>, head: &[u8], exchange: &Exchange) -> Result<u16, &'static str> {
    let mut block = Vec::with_capacity(head.len());
    let status = fields::write_response(&mut Section::begin(&mut block), head, exchange)?;
    write_headers(out, &block);
    Ok(status)
}

/// Writes HEADERS with trailers, lines `name: value CRLF`.
///
/// # Errors
/// What is wrong with the text; nothing was written then.
pub fn write_trailers(out: &mut Vec<u8>, lines: &[u8]) -> Result<(), &'static str> {
    let mut block = Vec::with_capacity(lines.len());
    fields::write_trailers(&mut Section::begin(&mut block), lines)?;
    write_headers(out, &block);
    Ok(())
}

/// Writes the header of DATA with this many bytes, which follow it.
pub fn write_data(out: &mut Vec<u8>, length: usize) {
    write_header(out, kind::DATA, length);
}

fn write_headers(out: &mut Vec<u8>, block: &[u8]) {
    write_header(out, kind::HEADERS, block.len());
    out.extend_from_slice(block);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_headers_and_data() {
        let mut out = Vec::new();
        let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nServer: x\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(write_head(&mut out, head, &Exchange::Message), Ok(200));
        write_data(&mut out, 2);
        assert_eq!(out, b"\x01\x0a\x00\x00\xd9\x5f\x4d\x01x\x54\x012\x00\x02");
        assert!(write_head(&mut out, b"HTTP/1.1 101 X\r\n\r\n", &Exchange::Message).is_err());
        let before = out.len();
        write_trailers(&mut out, b"X-Sum: 1\r\nContent-Length: 2\r\n").unwrap();
        assert_eq!(out[before..], *b"\x01\x0a\x00\x00\x25x-sum\x011");
    }
}
