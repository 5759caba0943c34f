//! Responses that Evenly makes itself, rendered when a snapshot is built and only copied afterwards.

use crate::document::{DocumentError, Page};
use crate::error::Failure;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::io::Write;

/// A response with a fixed body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200 to 599.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: Box<str>,
    /// The status line and the fields `Content-Type` and `Content-Length`, each line with its CRLF. More fields may
    /// follow; the blank line is not included. A 204 has neither field, a 304 no length (RFC 9110 §8.6, §15.4.5).
    pub head: Box<[u8]>,
    /// The body; not to be sent in answer to HEAD.
    pub body: Box<[u8]>,
}

impl Answer {
    /// Renders a response.
    ///
    /// # Errors
    /// A status outside of 200 to 599, a content type with control characters, or a body where none may be.
    pub fn new(status: u16, content_type: &str, body: &str) -> Result<Self, DocumentError> {
        if !(200..=599).contains(&status) {
            return Err(DocumentError::new("status", format!("{status} is not a final status, 200 to 599")));
        }
        if content_type.is_empty() || content_type.chars().any(|c| c.is_control() || !c.is_ascii()) {
            return Err(DocumentError::new(
                "content_type",
                "must be printable ASCII, such as \"text/plain\"",
            ));
        }
        let bodiless = matches!(status, 204 | 205 | 304);
        if bodiless && !body.is_empty() {
            return Err(DocumentError::new("body", format!("a {status} has no body")));
        }
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason_phrase(status));
        match status {
            204 | 304 => {}
            205 => head.push_str("Content-Length: 0\r\n"),
            _ => {
                head.push_str(&format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len()))
            }
        }
        Ok(Self {
            status,
            content_type: content_type.into(),
            head: head.into_bytes().into(),
            body: body.as_bytes().into(),
        })
    }
}

/// An answer for every status that a [`Failure`] can have: the user's page, or a line of plain text.
#[derive(Debug, Clone)]
pub struct ErrorPages {
    answers: FxHashMap<u16, Answer>,
    internal: Answer,
}

impl ErrorPages {
    /// Renders all pages.
    ///
    /// # Errors
    /// A page for a status that Evenly never makes itself, since it would never be shown, or a bad content type.
    pub fn build(pages: &BTreeMap<u16, Page>) -> Result<Self, DocumentError> {
        let mut answers = FxHashMap::default();
        for failure in Failure::ALL.into_iter().filter(|failure| failure.is_answered()) {
            answers.insert(failure.status(), plain(failure.status())?);
        }
        for (status, page) in pages {
            let at =
                |e: DocumentError| DocumentError::new(format!("error_pages.{status}.{}", e.path), e.message);
            if !answers.contains_key(status) {
                let mut made: Vec<u16> = answers.keys().copied().collect();
                made.sort_unstable();
                let message = format!("Evenly never answers {status} itself; it answers {made:?}");
                return Err(DocumentError::new(format!("error_pages.{status}"), message));
            }
            answers.insert(*status, Answer::new(*status, &page.content_type, &page.body).map_err(at)?);
        }
        let internal = answers.get(&500).cloned().map_or_else(|| plain(500), Ok)?;
        Ok(Self { answers, internal })
    }

    /// The answer with `status`; the one for 500 if nothing has that status.
    pub fn answer(&self, status: u16) -> &Answer {
        self.answers.get(&status).unwrap_or(&self.internal)
    }

    /// Whether there is an answer for `status`; for one that Evenly makes only at a route's wish there may be none.
    pub fn has(&self, status: u16) -> bool {
        self.answers.contains_key(&status)
    }

    /// Content type and body for `status`.
    pub fn body(&self, status: u16) -> (&str, &[u8]) {
        let answer = self.answer(status);
        (&answer.content_type, &answer.body)
    }

    /// Appends the answer to `failure` up to and without the blank line: status line, `Content-*` and, where waiting
    /// helps, `Retry-After`. The body is `answer(failure.status()).body`.
    pub fn write_head(&self, failure: Failure, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.answer(failure.status()).head);
        if let Some(seconds) = failure.retry_after() {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "Retry-After: {seconds}\r\n");
        }
    }
}

fn plain(status: u16) -> Result<Answer, DocumentError> {
    Answer::new(status, "text/plain", &format!("{status} {}\n", reason_phrase(status)))
}

/// The phrase of a status (RFC 9110 §15, RFC 6585, RFC 8297 and the registry); empty for unregistered ones, which the
/// grammar allows (RFC 9112 §4).
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
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
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(content_type: &str, body: &str) -> Page {
        Page { content_type: content_type.into(), body: body.into() }
    }

    #[test]
    fn every_answered_failure_has_a_page() {
        let pages = ErrorPages::build(&BTreeMap::new()).unwrap();
        for failure in Failure::ALL.into_iter().filter(|failure| failure.is_answered()) {
            let answer = pages.answer(failure.status());
            assert_eq!(answer.status, failure.status());
            assert!(!reason_phrase(failure.status()).is_empty(), "{failure:?}");
        }
        assert_eq!(pages.body(503), ("text/plain", &b"503 Service Unavailable\n"[..]));
    }

    #[test]
    fn heads_are_complete_but_for_the_blank_line() {
        let pages = ErrorPages::build(&BTreeMap::from([(503, page("text/html", "<p>later</p>"))])).unwrap();
        let mut out = Vec::new();
        pages.write_head(Failure::Overload, &mut out);
        let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\nContent-Length: 12\r\nRetry-After: 1\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), head);
    }

    #[test]
    fn pages_that_would_never_be_shown_are_refused() {
        let error = ErrorPages::build(&BTreeMap::from([(418, page("text/plain", ""))])).unwrap_err();
        assert_eq!(error.path, "error_pages.418");
        let error = ErrorPages::build(&BTreeMap::from([(404, page("a\r\nb", ""))])).unwrap_err();
        assert_eq!(error.path, "error_pages.404.content_type");
    }

    #[test]
    fn answers_know_which_statuses_have_no_body() {
        assert_eq!(&*Answer::new(204, "text/plain", "").unwrap().head, b"HTTP/1.1 204 No Content\r\n");
        assert_eq!(
            &*Answer::new(299, "text/plain", "").unwrap().head,
            b"HTTP/1.1 299 \r\nContent-Type: text/plain\r\nContent-Length: 0\r\n"
        );
        assert_eq!(Answer::new(304, "text/plain", "x").unwrap_err().path, "body");
        assert_eq!(Answer::new(199, "text/plain", "").unwrap_err().path, "status");
    }
}
