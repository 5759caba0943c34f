//! The static table (RFC 7541, Appendix A).

use crate::message::Kind;

/// Entries of the static table; the dynamic one is indexed from the next number on.
pub const COUNT: usize = 61;

/// One entry, as a line of text.
pub struct Fixed {
    /// `name: value CRLF`
    pub line: &'static [u8],
    /// Bytes of the name.
    pub name_bytes: usize,
    /// What it means.
    pub kind: Kind,
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

/// The entries; index 1 is the first.
#[rustfmt::skip]
pub static TABLE: [Fixed; COUNT] = [
    line!(":authority",                  ""),
    line!(":method",                     "GET"),
    line!(":method",                     "POST"),
    line!(":path",                       "/"),
    line!(":path",                       "/index.html"),
    line!(":scheme",                     "http"),
    line!(":scheme",                     "https"),
    line!(":status",                     "200"),
    line!(":status",                     "204"),
    line!(":status",                     "206"),
    line!(":status",                     "304"),
    line!(":status",                     "400"),
    line!(":status",                     "404"),
    line!(":status",                     "500"),
    line!("accept-charset",              ""),
    line!("accept-encoding",             "gzip, deflate"),
    line!("accept-language",             ""),
    line!("accept-ranges",               ""),
    line!("accept",                      ""),
    line!("access-control-allow-origin", ""),
    line!("age",                         ""),
    line!("allow",                       ""),
    line!("authorization",               ""),
    line!("cache-control",               ""),
    line!("content-disposition",         ""),
    line!("content-encoding",            ""),
    line!("content-language",            ""),
    line!("content-length",              ""),
    line!("content-location",            ""),
    line!("content-range",               ""),
    line!("content-type",                ""),
    line!("cookie",                      ""),
    line!("date",                        ""),
    line!("etag",                        ""),
    line!("expect",                      ""),
    line!("expires",                     ""),
    line!("from",                        ""),
    line!("host",                        ""),
    line!("if-match",                    ""),
    line!("if-modified-since",           ""),
    line!("if-none-match",               ""),
    line!("if-range",                    ""),
    line!("if-unmodified-since",         ""),
    line!("last-modified",               ""),
    line!("link",                        ""),
    line!("location",                    ""),
    line!("max-forwards",                ""),
    line!("proxy-authenticate",          ""),
    line!("proxy-authorization",         ""),
    line!("range",                       ""),
    line!("referer",                     ""),
    line!("refresh",                     ""),
    line!("retry-after",                 ""),
    line!("server",                      ""),
    line!("set-cookie",                  ""),
    line!("strict-transport-security",   ""),
    line!("transfer-encoding",           ""),
    line!("user-agent",                  ""),
    line!("vary",                        ""),
    line!("via",                         ""),
    line!("www-authenticate",            ""),
];
