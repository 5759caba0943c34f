//! Compression: whether a response is compressed on its way to the client, and what that makes of its head.
//!
//! Decided twice: when the request is there, what its client takes ([`Accepted`]); when the response's head is there,
//! whether its body may be changed ([`Compression::suits`]). A body is never compressed twice, nor against its sender's
//! will.

mod accepted;

pub use accepted::Accepted;

use crate::document::{self, Algorithm, DocumentError, Level};
use crate::route::Fields;

/// Which responses are compressed, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// What is offered, the preferred one first.
    pub algorithms: Box<[Algorithm]>,
    /// Speed against size.
    pub level: Level,
    types: Box<[Box<str>]>,
    min_bytes: u64,
}

/// What of a response's head counts.
pub struct Response<'a> {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub fields: &'a dyn Fields,
    /// The length of its body, if it is known.
    pub length: Option<u64>,
}

impl Compression {
    /// Checks and converts. Error paths are relative to the table: `types[0]`.
    ///
    /// # Errors
    /// No algorithm, one twice, or a text that is no media type.
    pub fn build(document: &document::Compression) -> Result<Self, DocumentError> {
        if document.algorithms.is_empty() {
            return Err(DocumentError::new("algorithms", "needs at least one"));
        }
        for (i, algorithm) in document.algorithms.iter().enumerate() {
            if document.algorithms[..i].contains(algorithm) {
                return Err(DocumentError::new(format!("algorithms[{i}]"), "is there already"));
            }
        }
        for (i, media) in document.types.iter().enumerate() {
            let is_word = |word: &str| {
                !word.is_empty()
                    && word.bytes().all(|b| b.is_ascii_graphic() && b != b';' && !b.is_ascii_uppercase())
            };
            if !media.split_once('/').is_some_and(|(kind, sub)| is_word(kind) && is_word(sub) && kind != "*")
            {
                let message = format!("'{media}' is not a media type such as \"text/html\" or \"text/*\"");
                return Err(DocumentError::new(format!("types[{i}]"), message));
            }
        }
        Ok(Self {
            algorithms: document.algorithms.as_slice().into(),
            level: document.level,
            types: document.types.iter().map(|media| media.as_str().into()).collect(),
            min_bytes: document.min_bytes,
        })
    }

    /// Whether a response is one that is compressed for clients that take it. So it varies with `Accept-Encoding`, also
    /// when this client gets it as it is.
    pub fn suits(&self, response: &Response<'_>) -> bool {
        // 206 is a part of a body that was not compressed; the others have no body.
        !matches!(response.status, 100..=199 | 204..=206 | 304)
            && response.length.is_none_or(|length| length >= self.min_bytes && length > 0)
            && response.fields.first("content-type").is_some_and(|value| self.is_listed(value))
            && !KEEP.iter().any(|name| response.fields.first(name).is_some())
            && !response.fields.any("content-encoding", &mut |value| !value.eq_ignore_ascii_case(b"identity"))
            && !response.fields.any("cache-control", &mut |value| lists(value, b"no-transform"))
    }

    fn is_listed(&self, content_type: &[u8]) -> bool {
        let media = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        self.types.iter().any(|own| match own.strip_suffix('*') {
            Some(kind) => {
                media.len() > kind.len() && media[..kind.len()].eq_ignore_ascii_case(kind.as_bytes())
            }
            None => media.eq_ignore_ascii_case(own.as_bytes()),
        })
    }
}

/// Fields that speak of the very bytes of the body: a range of them, or their digest (RFC 9530, RFC 3230).
const KEEP: [&str; 5] = ["content-range", "content-digest", "repr-digest", "digest", "content-md5"];

/// The coding's name in `Content-Encoding`.
pub const fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Gzip => "gzip",
        Algorithm::Br => "br",
        Algorithm::Zstd => "zstd",
    }
}

/// Whether a field of a response is left out when its body is compressed: what [`write_fields`] writes anew, and what
/// would no longer be true.
pub fn drops(name: &str) -> bool {
    const DROPPED: [&str; 4] = ["content-length", "content-encoding", "etag", "accept-ranges"];
    DROPPED.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Appends the field that says how a body is compressed.
pub fn write_coding(out: &mut Vec<u8>, algorithm: Algorithm) {
    out.extend_from_slice(b"Content-Encoding: ");
    out.extend_from_slice(name(algorithm).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends the weak form of the response's validator: the bytes of a compressed body are others, while what they mean is
/// the same (RFC 9110 §8.8.1). Also a 304 has it, as its 200 would (RFC 9110 §15.4.5): a cache would otherwise not know the
/// compressed response that it has again (RFC 9111 §4.3.4).
pub fn write_weak_tag(out: &mut Vec<u8>, fields: &dyn Fields) {
    if let Some(tag) = fields.first("etag") {
        out.extend_from_slice(if tag.starts_with(b"W/") { b"ETag: " } else { b"ETag: W/" });
        out.extend_from_slice(tag);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends `Vary: Accept-Encoding`, unless the response says as much already.
pub fn write_vary(out: &mut Vec<u8>, fields: &dyn Fields) {
    if !fields.any("vary", &mut |value| lists(value, b"accept-encoding") || lists(value, b"*")) {
        out.extend_from_slice(b"Vary: Accept-Encoding\r\n");
    }
}

/// Whether a comma-separated list has this element.
pub fn lists(value: &[u8], element: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|own| own.trim_ascii().eq_ignore_ascii_case(element))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Given<'a>(&'a [(&'a str, &'a str)]);

    impl Fields for Given<'_> {
        fn first(&self, name: &str) -> Option<&[u8]> {
            self.0.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_bytes())
        }

        fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
            self.0.iter().any(|(own, value)| own.eq_ignore_ascii_case(name) && test(value.as_bytes()))
        }
    }

    fn document() -> document::Compression {
        document::Compression {
            algorithms: vec![Algorithm::Br, Algorithm::Gzip],
            types: vec!["text/*".into(), "application/json".into()],
            min_bytes: 1024,
            level: Level::Fast,
        }
    }

    fn suits(status: u16, fields: &[(&str, &str)], length: Option<u64>) -> bool {
        let response = Response { status, fields: &Given(fields), length };
        Compression::build(&document()).unwrap().suits(&response)
    }

    #[test]
    fn only_whole_bodies_of_listed_types_are_compressed_and_never_twice() {
        let html = ("Content-Type", "text/html; charset=utf-8");
        assert!(suits(200, &[html], None));
        assert!(suits(404, &[html], Some(1024)));
        assert!(suits(200, &[("content-type", "Application/JSON")], Some(9999)));
        assert!(suits(200, &[html, ("Content-Encoding", "identity")], None));
        for (status, fields, length) in [
            (200, &[][..], None),
            (200, &[html], Some(1023)),
            (200, &[("Content-Type", "image/png")], None),
            (200, &[("Content-Type", "text/")], None),
            (200, &[("Content-Type", "application/json-seq")], None),
            (206, &[html], None),
            (204, &[html], None),
            (304, &[html], None),
            (200, &[html, ("Content-Encoding", "gzip")], None),
            (200, &[html, ("Content-Encoding", "x-own")], None),
            (200, &[html, ("Cache-Control", "max-age=5, No-Transform")], None),
            (200, &[html, ("Content-Range", "bytes 0-1/2")], None),
            (200, &[html, ("Content-Digest", "sha-256=:x:")], None),
        ] {
            assert!(!suits(status, fields, length), "{status} {fields:?} {length:?}");
        }
    }

    #[test]
    fn the_head_says_what_the_body_has_become() {
        let written = |fields: &[(&str, &str)]| {
            let mut out = Vec::new();
            write_coding(&mut out, Algorithm::Zstd);
            write_weak_tag(&mut out, &Given(fields));
            write_vary(&mut out, &Given(fields));
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(&[]), "Content-Encoding: zstd\r\nVary: Accept-Encoding\r\n");
        assert_eq!(
            written(&[("ETag", "\"x\""), ("Vary", "Origin")]),
            "Content-Encoding: zstd\r\nETag: W/\"x\"\r\nVary: Accept-Encoding\r\n"
        );
        assert_eq!(
            written(&[("ETag", "W/\"x\""), ("Vary", "Origin, accept-encoding")]),
            "Content-Encoding: zstd\r\nETag: W/\"x\"\r\n"
        );
        assert!(drops("Content-Length") && drops("ETAG") && !drops("Vary"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let refused = |edit: &dyn Fn(&mut document::Compression)| {
            let mut document = document();
            edit(&mut document);
            Compression::build(&document).unwrap_err().path
        };
        assert_eq!(refused(&|d| d.algorithms.clear()), "algorithms");
        assert_eq!(refused(&|d| d.algorithms.push(Algorithm::Br)), "algorithms[2]");
        for text in ["html", "*/*", "text/", "/html", "text/html; q=1", "Text/html"] {
            assert_eq!(refused(&|d| d.types[1] = text.into()), "types[1]", "{text}");
        }
    }
}
