//! The static table (RFC 9204, Appendix A).

use evenly_http2::fields::Kind;

/// Entries of the table.
pub const COUNT: usize = 99;

/// One entry, as a line of text.
pub struct Fixed {
    /// `name: value CRLF`
    pub line: &'static [u8],
    /// Bytes of the name.
    pub name_bytes: usize,
    /// What it means.
    pub kind: Kind,
}

impl Fixed {
    /// The name.
    pub fn name(&self) -> &'static [u8] {
        &self.line[..self.name_bytes]
    }

    /// The value.
    pub fn value(&self) -> &'static [u8] {
        &self.line[self.name_bytes + 2..self.line.len() - 2]
    }
}

macro_rules! line {
    ($name:literal, $value:literal) => {
        Fixed {
            line: concat!($name, ": ", $value, "\r\n").as_bytes(),
            name_bytes: $name.len(),
            kind: Kind::of($name.as_bytes()),
        }
    };
}

/// The entries; index 0 is the first.
#[rustfmt::skip]
pub static TABLE: [Fixed; COUNT] = [
    line!(":authority", ""),
    line!(":path", "/"),
    line!("age", "0"),
    line!("content-disposition", ""),
    line!("content-length", "0"),
    line!("cookie", ""),
    line!("date", ""),
    line!("etag", ""),
    line!("if-modified-since", ""),
    line!("if-none-match", ""),
    line!("last-modified", ""),
    line!("link", ""),
    line!("location", ""),
    line!("referer", ""),
    line!("set-cookie", ""),
    line!(":method", "CONNECT"),
    line!(":method", "DELETE"),
    line!(":method", "GET"),
    line!(":method", "HEAD"),
    line!(":method", "OPTIONS"),
    line!(":method", "POST"),
    line!(":method", "PUT"),
    line!(":scheme", "http"),
    line!(":scheme", "https"),
    line!(":status", "103"),
    line!(":status", "200"),
    line!(":status", "304"),
    line!(":status", "404"),
    line!(":status", "503"),
    line!("accept", "*/*"),
    line!("accept", "application/dns-message"),
    line!("accept-encoding", "gzip, deflate, br"),
    line!("accept-ranges", "bytes"),
    line!("access-control-allow-headers", "cache-control"),
    line!("access-control-allow-headers", "content-type"),
    line!("access-control-allow-origin", "*"),
    line!("cache-control", "max-age=0"),
    line!("cache-control", "max-age=2592000"),
    line!("cache-control", "max-age=604800"),
    line!("cache-control", "no-cache"),
    line!("cache-control", "no-store"),
    line!("cache-control", "public, max-age=31536000"),
    line!("content-encoding", "br"),
    line!("content-encoding", "gzip"),
    line!("content-type", "application/dns-message"),
    line!("content-type", "application/javascript"),
    line!("content-type", "application/json"),
    line!("content-type", "application/x-www-form-urlencoded"),
    line!("content-type", "image/gif"),
    line!("content-type", "image/jpeg"),
    line!("content-type", "image/png"),
    line!("content-type", "text/css"),
    line!("content-type", "text/html; charset=utf-8"),
    line!("content-type", "text/plain"),
    line!("content-type", "text/plain;charset=utf-8"),
    line!("range", "bytes=0-"),
    line!("strict-transport-security", "max-age=31536000"),
    line!("strict-transport-security", "max-age=31536000; includesubdomains"),
    line!("strict-transport-security", "max-age=31536000; includesubdomains; preload"),
    line!("vary", "accept-encoding"),
    line!("vary", "origin"),
    line!("x-content-type-options", "nosniff"),
    line!("x-xss-protection", "1; mode=block"),
    line!(":status", "100"),
    line!(":status", "204"),
    line!(":status", "206"),
    line!(":status", "302"),
    line!(":status", "400"),
    line!(":status", "403"),
    line!(":status", "421"),
    line!(":status", "425"),
    line!(":status", "500"),
    line!("accept-language", ""),
    line!("access-control-allow-credentials", "FALSE"),
    line!("access-control-allow-credentials", "TRUE"),
    line!("access-control-allow-headers", "*"),
    line!("access-control-allow-methods", "get"),
    line!("access-control-allow-methods", "get, post, options"),
    line!("access-control-allow-methods", "options"),
    line!("access-control-expose-headers", "content-length"),
    line!("access-control-request-headers", "content-type"),
    line!("access-control-request-method", "get"),
    line!("access-control-request-method", "post"),
    line!("alt-svc", "clear"),
    line!("authorization", ""),
    line!("content-security-policy", "script-src 'none'; object-src 'none'; base-uri 'none'"),
    line!("early-data", "1"),
    line!("expect-ct", ""),
    line!("forwarded", ""),
    line!("if-range", ""),
    line!("origin", ""),
    line!("purpose", "prefetch"),
    line!("server", ""),
    line!("timing-allow-origin", "*"),
    line!("upgrade-insecure-requests", "1"),
    line!("user-agent", ""),
    line!("x-forwarded-for", ""),
    line!("x-frame-options", "deny"),
    line!("x-frame-options", "sameorigin"),
];
