//! An HTTP/1.1 request, judged by the answer's status and perhaps by a text in its body.

use super::{CheckFailure, Probe, Progress, Verdict};
use crate::tls::{Alpn, HTTP_1};
use evenly_core::document::StatusRange;
use evenly_http1::{BodyReader, HeadLimits, Slots, parse_response};
use std::net::SocketAddr;

/// Heads of health pages are small; more is no health page.
const LIMITS: HeadLimits = HeadLimits { head_bytes: 16 * 1024, fields: 100, target_bytes: 0 };

/// See `document::Probe::Http`.
pub(super) struct Http {
    method: String,
    path: String,
    host: Option<String>,
    expected_status: Vec<StatusRange>,
    expected_body: Option<String>,
    reuses: bool,
}

/// How far an answer was read.
#[derive(Debug)]
pub(super) enum Stage {
    /// In the head, of which this came already.
    Head(Vec<u8>),
    /// In the body.
    Body(BodyReader, KeepAlive),
}

/// Whether the endpoint keeps the connection after this answer.
type KeepAlive = bool;

impl Default for Stage {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl Http {
    pub fn new(
        method: String,
        path: String,
        host: Option<String>,
        expected_status: Vec<StatusRange>,
        expected_body: Option<String>,
        reuses: bool,
    ) -> Self {
        Self { method, path, host, expected_status, expected_body, reuses }
    }

    /// Reads heads off the front of `received` until one is final; says where the body begins.
    pub(super) fn read_head(
        &self,
        received: &[u8],
        progress: &mut Progress,
    ) -> Result<Option<usize>, CheckFailure> {
        let mut start = 0;
        loop {
            let mut slots = Slots::new();
            let parsed = parse_response(&received[start..], &LIMITS, &self.method, &mut slots)
                .map_err(|error| CheckFailure::Malformed(error.reason()))?;
            let Some(head) = parsed else { return Ok(None) };
            start += head.length;
            // 101 ends HTTP and is as final as any other status.
            if !(100..200).contains(&head.status) || head.status == 101 {
                let expected = self.expected_status.iter().any(|r| (r.first..=r.last).contains(&head.status));
                progress.so_far = match (expected, &self.expected_body) {
                    (false, _) => Err(CheckFailure::Status(head.status)),
                    (true, Some(text)) if !text.is_empty() => Err(CheckFailure::TextMissing),
                    (true, _) => Ok(()),
                };
                progress.http = Stage::Body(BodyReader::from(head.body), head.keep_alive);
                return Ok(Some(start));
            }
        }
    }

    /// Adds `bytes` to a head that came in pieces; parses only once its end came, so that an answer byte by byte is
    /// not parsed byte by byte.
    fn receive_head(&self, progress: &mut Progress, bytes: &mut [u8]) -> Result<Verdict, CheckFailure> {
        let Stage::Head(earlier) = &mut progress.http else { return Ok(Verdict::Continue) };
        let mut earlier = std::mem::take(earlier);
        if earlier.is_empty() {
            return match self.read_head(bytes, progress)? {
                Some(body) => Ok(self.receive_body(progress, &mut bytes[body..])),
                None => {
                    progress.http = Stage::Head(bytes.to_vec());
                    Ok(Verdict::Continue)
                }
            };
        }
        let seen = earlier.len().saturating_sub(3);
        earlier.extend_from_slice(bytes);
        let has_end = earlier[seen..].windows(4).any(|four| four == b"\r\n\r\n");
        if (has_end || earlier.len() >= LIMITS.head_bytes)
            && let Some(body) = self.read_head(&earlier, progress)?
        {
            return Ok(self.receive_body(progress, &mut earlier[body..]));
        }
        // Informational heads are each within the limit; together with the last one they must be as well.
        if earlier.len() >= LIMITS.head_bytes {
            return Err(CheckFailure::Malformed("head too large"));
        }
        progress.http = Stage::Head(earlier);
        Ok(Verdict::Continue)
    }

    /// Reads the body to its end, or as far as is looked at, even when the outcome is certain: an endpoint that is cut
    /// off while it sends writes an error into its log for every check.
    pub(super) fn receive_body(&self, progress: &mut Progress, bytes: &mut [u8]) -> Verdict {
        let Stage::Body(reader, keep_alive) = &mut progress.http else { return Verdict::Continue };
        let mut rest = bytes;
        while progress.left > 0 && !reader.is_done() && !rest.is_empty() {
            let Ok(taken) = reader.take(rest) else {
                if progress.so_far.is_err() {
                    progress.so_far = Err(CheckFailure::Malformed("invalid chunk"));
                }
                return Verdict::Done;
            };
            let data = &rest[..taken.data.min(progress.left)];
            progress.left -= data.len();
            if progress.so_far == Err(CheckFailure::TextMissing) {
                let text = self.expected_body.as_deref().unwrap_or_default();
                if progress.search.finds(text.as_bytes(), data) {
                    progress.so_far = Ok(());
                }
            }
            rest = &mut rest[taken.consumed..];
        }
        progress.is_reusable = self.reuses && *keep_alive && reader.is_done() && rest.is_empty();
        if reader.is_done() || progress.left == 0 { Verdict::Done } else { Verdict::Continue }
    }
}

impl Probe for Http {
    fn request(&self, address: SocketAddr) -> Vec<u8> {
        let Self { method, path, .. } = self;
        let host = self.host.clone().unwrap_or_else(|| address.to_string());
        let connection = if self.reuses { "keep-alive" } else { "close" };
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: evenly-health-check\r\nAccept: */*\r\n\
             Connection: {connection}\r\n\r\n"
        )
        .into_bytes()
    }

    fn alpn(&self) -> Alpn {
        HTTP_1
    }

    fn begin(&self) -> Option<Progress> {
        Some(Progress::new(Err(CheckFailure::Closed)))
    }

    fn receive(&self, progress: &mut Progress, bytes: &mut [u8]) -> Verdict {
        match progress.http {
            Stage::Body(..) => self.receive_body(progress, bytes),
            Stage::Head(_) => self.receive_head(progress, bytes).unwrap_or_else(|failure| {
                progress.so_far = Err(failure);
                Verdict::Done
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::probe::MAX_ANSWER_BYTES;

    /// The outcome of an answer, whichever way it is cut; `None` if it needs the end of the connection.
    fn outcome(probe: &Http, answer: &[u8]) -> (Verdict, Result<(), CheckFailure>) {
        let mut outcomes = (1..=answer.len()).map(|size| {
            let mut progress = probe.begin().unwrap();
            let mut verdict = Verdict::Continue;
            for piece in answer.chunks(size) {
                verdict = probe.receive(&mut progress, &mut piece.to_vec());
                if verdict == Verdict::Done {
                    break;
                }
            }
            (verdict, progress.so_far)
        });
        let first = outcomes.next().unwrap();
        for (other, size) in outcomes.zip(2..) {
            assert_eq!(other, first, "in pieces of {size}");
        }
        first
    }

    fn probe(expected_body: Option<&str>) -> Http {
        let expected = vec![StatusRange { first: 200, last: 299 }, StatusRange { first: 404, last: 404 }];
        Http::new("GET".into(), "/healthz".into(), None, expected, expected_body.map(str::to_owned), true)
    }

    #[test]
    fn the_request_names_the_host_or_the_address() {
        let address = SocketAddr::from(([10, 0, 0, 1], 9000));
        let text = String::from_utf8(probe(None).request(address)).unwrap();
        assert!(text.starts_with("GET /healthz HTTP/1.1\r\nHost: 10.0.0.1:9000\r\n"), "{text}");
        assert!(text.ends_with("Connection: keep-alive\r\n\r\n"), "{text}");
        let named = Http::new("HEAD".into(), "/".into(), Some("shop".into()), Vec::new(), None, false);
        let named = named.request(address);
        assert!(named.starts_with(b"HEAD / HTTP/1.1\r\nHost: shop\r\n"));
        assert!(named.ends_with(b"Connection: close\r\n\r\n"));
    }

    #[test]
    fn the_status_decides_however_the_answer_is_cut() {
        let done = Verdict::Done;
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", (done, Ok(()))),
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", (done, Ok(()))),
            ("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", (done, Err(CheckFailure::Status(503)))),
            ("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", (done, Ok(()))),
            (
                "HTTP/1.1 101 Other\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
                (done, Err(CheckFailure::Status(101))),
            ),
            ("HTTP/1.0 200 OK\r\n\r\nuntil the end", (Verdict::Continue, Ok(()))),
            ("HTTP/1.1 200 OK\r\nContent-", (Verdict::Continue, Err(CheckFailure::Closed))),
        ] {
            assert_eq!(outcome(&probe(None), answer.as_bytes()), expected, "{answer}");
        }
    }

    #[test]
    fn a_connection_is_used_again_only_after_a_whole_answer_that_says_so() {
        for (answer, is_reusable) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true),
            ("HTTP/1.1 204 No Content\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true),
            ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\n\r\nuntil the end", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", false),
        ] {
            let probe = probe(None);
            let mut progress = probe.begin().unwrap();
            probe.receive(&mut progress, &mut answer.as_bytes().to_vec());
            assert_eq!(progress.is_reusable, is_reusable, "{answer}");
        }
    }

    #[test]
    fn the_body_must_hold_the_text() {
        let probe = probe(Some("all is well"));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (answer, expected) in [
            (format!("{chunked}5\r\n-all \r\n8\r\nis well-\r\n0\r\n\r\n"), (Verdict::Done, Ok(()))),
            (format!("{chunked}5\r\nall i\r\n0\r\n\r\n"), (Verdict::Done, Err(CheckFailure::TextMissing))),
            (format!("{chunked}zz\r\n"), (Verdict::Done, Err(CheckFailure::Malformed("invalid chunk")))),
            ("HTTP/1.1 200 OK\r\n\r\nall is well".into(), (Verdict::Continue, Ok(()))),
            (
                "HTTP/1.1 500 No\r\n\r\nall is well".into(),
                (Verdict::Continue, Err(CheckFailure::Status(500))),
            ),
        ] {
            assert_eq!(outcome(&probe, answer.as_bytes()), expected, "{answer}");
        }
    }

    #[test]
    fn no_more_than_the_first_part_of_a_body_is_looked_at() {
        let probe = probe(Some("needle"));
        let mut progress = probe.begin().unwrap();
        let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        answer.resize(answer.len() + MAX_ANSWER_BYTES, b'-');
        answer.extend_from_slice(b"needle");
        assert_eq!(probe.receive(&mut progress, &mut answer), Verdict::Done);
        assert_eq!(progress.so_far, Err(CheckFailure::TextMissing));
    }

    #[test]
    fn what_is_not_http_fails_at_once() {
        let mut progress = probe(None).begin().unwrap();
        assert_eq!(
            probe(None).receive(&mut progress, &mut b"220 mail.example.com ESMTP\r\n".to_owned()),
            Verdict::Done
        );
        assert!(matches!(progress.so_far, Err(CheckFailure::Malformed(_))), "{:?}", progress.so_far);
    }
}
