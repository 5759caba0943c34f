//! A body of unknown length that is kept behind its head, to be sent again or to somebody else: an endpoint of HTTP/1.1
//! gets it in chunks, one of HTTP/2 as it is, and which of them is next need not be known when it is kept.

use evenly_core::error::Failure;
use evenly_http1::{BodyLength, BodyReader, CHUNK_END, LAST_CHUNK};
use std::io::Write;

/// How such a body is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// There is none.
    Nothing,
    /// As it is.
    Bare,
    /// In chunks.
    Chunks,
}

impl Kept {
    /// What stands behind the head in `text` is from now on in chunks, or is not. `is_whole`: all of the body is there.
    /// Returns the trailers that were behind the chunks.
    ///
    /// # Errors
    /// What we have framed ourselves is framed wrongly: nothing of it may be sent.
    pub fn reframe(&mut self, text: &mut Vec<u8>, chunks: bool, is_whole: bool) -> Result<Vec<u8>, Failure> {
        let mut trailers = Vec::new();
        // Every head ends with an empty line; it was rendered here.
        let head = text.windows(4).position(|four| four == b"\r\n\r\n").map_or(text.len(), |at| at + 4);
        *self = match (*self, chunks) {
            (Self::Bare, true) => {
                let body = text.split_off(head);
                if !body.is_empty() {
                    // Writing to memory does not fail.
                    let _ = write!(text, "{:x}\r\n", body.len());
                    text.extend_from_slice(&body);
                    text.extend_from_slice(CHUNK_END);
                }
                if is_whole {
                    text.extend_from_slice(LAST_CHUNK);
                }
                Self::Chunks
            }
            (Self::Chunks, false) => {
                let mut reader = BodyReader::from(BodyLength::Chunked);
                let taken = reader
                    .take_all(&mut text[head..], &mut |piece| trailers.extend_from_slice(piece))
                    .map_err(|_| Failure::Internal)?;
                text.truncate(head + taken.data);
                Self::Bare
            }
            (same, _) => same,
        };
        Ok(trailers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";

    /// `body` behind a head, turned into what the next endpoint gets, and the trailers.
    fn reframed(mut kept: Kept, body: &str, chunks: bool, is_whole: bool) -> (String, String, Kept) {
        let mut text = format!("{HEAD}{body}").into_bytes();
        let trailers = kept.reframe(&mut text, chunks, is_whole).unwrap();
        let text = String::from_utf8(text).unwrap();
        (text.strip_prefix(HEAD).unwrap().to_owned(), String::from_utf8(trailers).unwrap(), kept)
    }

    #[test]
    fn a_body_is_framed_for_whoever_is_next() {
        let to_chunks = |body, is_whole| reframed(Kept::Bare, body, true, is_whole).0;
        assert_eq!(to_chunks("0123456789abcdefg", true), "11\r\n0123456789abcdefg\r\n0\r\n\r\n");
        assert_eq!(to_chunks("more to come", false), "c\r\nmore to come\r\n");
        assert_eq!((to_chunks("", true), to_chunks("", false)), ("0\r\n\r\n".into(), String::new()));
        let bare = |body, is_whole| reframed(Kept::Chunks, body, false, is_whole);
        let expected = |body: &str, lines: &str| (body.to_owned(), lines.to_owned(), Kept::Bare);
        assert_eq!(bare("2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", true), expected("abc", ""));
        assert_eq!(bare("2\r\nab\r\n", false), expected("ab", ""));
        assert_eq!(bare("1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n", true), expected("a", "X-Sum: 1\r\n"));
    }

    #[test]
    fn what_is_no_chunk_is_not_taken_for_a_body() {
        let mut text = format!("{HEAD}no chunk").into_bytes();
        assert_eq!(({ Kept::Chunks }).reframe(&mut text, false, true), Err(Failure::Internal));
    }

    #[test]
    fn what_is_framed_as_it_should_be_stays_so() {
        for (kept, chunks, body) in
            [(Kept::Nothing, true, ""), (Kept::Bare, false, "1\r\na"), (Kept::Chunks, true, "1\r\na\r\n")]
        {
            assert_eq!(reframed(kept, body, chunks, true), (body.to_owned(), String::new(), kept));
        }
    }
}
