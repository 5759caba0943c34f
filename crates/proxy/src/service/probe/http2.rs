//! One request by HTTP/2, on a connection of its own: a page, or gRPC's health service.
//!
//! All that is to be said is said at once, and all that is looked at of an answer fits the windows, so the endpoint's
//! settings need not be waited for nor anything be given back to it.

use super::grpc::Grpc;
use super::http::{Http, Stage};
use super::{CheckFailure, MAX_ANSWER_BYTES, Probe, Progress, Verdict};
use crate::tls::{Alpn, HTTP_2};
use evenly_http1::BodyReader;
use evenly_http2::{Connection, Event, Limits, Scheme, Step};
use std::fmt;
use std::net::SocketAddr;

/// A check over HTTP/2.
pub(super) struct Http2(pub Question, pub Scheme);

/// What is asked.
pub(super) enum Question {
    /// See `document::Probe::Http`.
    Page(Http),
    /// See `document::Probe::Grpc`.
    Health(Grpc),
}

/// The connection of one check.
pub(super) struct Exchange {
    connection: Connection,
    /// The beginning of a message, of gRPC.
    message: Vec<u8>,
}

impl Http2 {
    /// A connection with the request in its output.
    fn ask(&self, address: SocketAddr) -> Connection {
        // As large as what is looked at; a window is granted once, as the connection carries one answer.
        let window = u32::try_from(MAX_ANSWER_BYTES).unwrap_or(u32::MAX);
        let limits = Limits { stream_window: window, connection_window: window, ..Limits::TYPICAL };
        let mut connection = Connection::client(limits, self.1, 0);
        let (head, body) = match &self.0 {
            Question::Page(page) => (page.request(address), Vec::new()),
            Question::Health(health) => health.request(address),
        };
        // What the configuration may hold is a head, and a few hundred bytes fit every window.
        if let Ok(stream) = connection.open(&head, body.is_empty()) {
            let _ = connection.send_data(stream, &body, true);
        }
        connection
    }

    fn advance(&self, exchange: &mut Exchange, progress: &mut Progress, mut rest: &[u8]) -> Verdict {
        let Exchange { connection, message } = exchange;
        loop {
            let (consumed, event) = match connection.step(rest, 0) {
                Step::More { .. } => return Verdict::Continue,
                Step::Failed { error, .. } => return fail(progress, CheckFailure::Malformed(error.what)),
                Step::Event { consumed, event } => (consumed, event),
            };
            rest = &rest[consumed..];
            let verdict = match (event, &self.0) {
                (Event::Head { text, is_end, .. }, Question::Page(page)) => page.head(progress, text, is_end),
                (Event::Head { text, is_end, .. }, Question::Health(health)) => {
                    health.head(progress, text, is_end)
                }
                (Event::Data { bytes, is_end, .. }, Question::Page(page)) => {
                    let verdict = page.receive_body(progress, &mut bytes.to_vec());
                    if is_end { Verdict::Done } else { verdict }
                }
                (Event::Data { bytes, is_end, .. }, Question::Health(health)) => {
                    health.data(progress, message, bytes, is_end)
                }
                (Event::Trailers { .. }, Question::Page(_)) => Verdict::Done,
                (Event::Trailers { fields, .. }, Question::Health(health)) => {
                    health.trailers(progress, message, fields)
                }
                (Event::Reset { .. } | Event::GoAway { .. }, _) => fail(progress, CheckFailure::Closed),
                (Event::Broken { error, .. }, _) => fail(progress, CheckFailure::Malformed(error.what)),
                _ => Verdict::Continue,
            };
            if verdict == Verdict::Done {
                return verdict;
            }
        }
    }
}

impl Probe for Http2 {
    fn request(&self, address: SocketAddr) -> Vec<u8> {
        self.ask(address).output().pending().to_vec()
    }

    fn alpn(&self) -> Alpn {
        HTTP_2
    }

    fn begin(&self) -> Option<Progress> {
        // Whom it is for changes what is sent, and not what is expected.
        let connection = self.ask(SocketAddr::from(([0; 4], 0)));
        let exchange = Exchange { connection, message: Vec::new() };
        let mut progress = Progress::new(Err(CheckFailure::Closed));
        progress.http2 = Some(Box::new(exchange));
        Some(progress)
    }

    fn receive(&self, progress: &mut Progress, bytes: &mut [u8]) -> Verdict {
        let Some(mut exchange) = progress.http2.take() else { return Verdict::Done };
        let verdict = self.advance(&mut exchange, progress, bytes);
        progress.http2 = Some(exchange);
        verdict
    }
}

impl Http {
    fn head(&self, progress: &mut Progress, text: &[u8], is_end: bool) -> Verdict {
        if let Err(failure) = self.read_head(text, progress) {
            return fail(progress, failure);
        }
        if let Stage::Body(reader @ BodyReader::Chunked(_), _) = &mut progress.http {
            // The text says so of a body that ends by itself.
            *reader = BodyReader::UntilClose;
        }
        if is_end { Verdict::Done } else { Verdict::Continue }
    }
}

/// What was certain before stays so: an answer that has come is not taken back by what follows.
fn fail(progress: &mut Progress, failure: CheckFailure) -> Verdict {
    progress.so_far = progress.interrupted(failure);
    Verdict::Done
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenly_core::document::StatusRange;

    /// What a server answers to `probe`: these pieces, where a head is a text and a body are bytes.
    fn answer(probe: &Http2, pieces: &[&[u8]], trailers: Option<&[u8]>) -> Vec<u8> {
        let mut server = Connection::server(Limits::TYPICAL, 0);
        let request = probe.request(SocketAddr::from(([10, 0, 0, 1], 9000)));
        let mut rest = &request[..];
        let mut asked = None;
        while let Step::Event { consumed, event } = server.step(rest, 0) {
            rest = &rest[consumed..];
            if let Event::Head { stream, .. } = event {
                asked = Some(stream);
            }
        }
        let stream = asked.expect("the request is one");
        server.send_head(stream, pieces[0], false).unwrap();
        for piece in &pieces[1..] {
            server.send_data(stream, piece, false).unwrap();
        }
        match trailers {
            Some(lines) => server.send_trailers(stream, lines).unwrap(),
            None => drop(server.send_data(stream, b"", true).unwrap()),
        }
        server.output().pending().to_vec()
    }

    fn outcome(probe: &Http2, answer: &[u8]) -> Result<(), CheckFailure> {
        let mut outcomes = [1, 7, answer.len()].map(|size| {
            let mut progress = probe.begin().unwrap();
            for piece in answer.chunks(size) {
                if probe.receive(&mut progress, &mut piece.to_vec()) == Verdict::Done {
                    break;
                }
            }
            progress.so_far
        });
        outcomes.sort_by_key(|outcome| format!("{outcome:?}"));
        assert_eq!(outcomes[0], outcomes[2], "however it is cut");
        outcomes[0]
    }

    fn page(expected_body: Option<&str>) -> Http2 {
        let expected = vec![StatusRange { first: 200, last: 299 }];
        let body = expected_body.map(str::to_owned);
        Http2(Question::Page(Http::new("GET".into(), "/".into(), None, expected, body, false)), Scheme::Http)
    }

    #[test]
    fn a_page_is_judged_as_over_http1() {
        let ok: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
        let probe = page(None);
        assert_eq!(outcome(&probe, &answer(&probe, &[ok, b"fine"], None)), Ok(()));
        assert_eq!(outcome(&probe, &answer(&probe, &[ok], Some(b"x-a: b\r\n"))), Ok(()));
        let bad = answer(&probe, &[b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\n", b"no"], None);
        assert_eq!(outcome(&probe, &bad), Err(CheckFailure::Status(503)));
        let probe = page(Some("well"));
        assert_eq!(outcome(&probe, &answer(&probe, &[ok, b"all is we", b"ll"], None)), Ok(()));
        assert_eq!(outcome(&probe, &answer(&probe, &[ok, b"ill"], None)), Err(CheckFailure::TextMissing));
    }

    #[test]
    fn grpc_answers_by_its_message_and_its_status() {
        let head: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n\r\n";
        let probe = Http2(Question::Health(Grpc::new("shop.Cart".into())), Scheme::Http);
        let said = |message: &[u8], trailers: &[u8]| {
            outcome(&probe, &answer(&probe, &[head, message], Some(trailers)))
        };
        assert_eq!(said(b"\0\0\0\0\x02\x08\x01", b"grpc-status: 0\r\n"), Ok(()));
        assert_eq!(said(b"\0\0\0\0\x02\x08\x02", b"grpc-status: 0\r\n"), Err(CheckFailure::Serving(2)));
        assert_eq!(said(b"\0\0\0\0\0", b"grpc-status: 0\r\n"), Err(CheckFailure::Serving(0)));
        assert_eq!(said(b"", b"grpc-status: 5\r\n"), Err(CheckFailure::Grpc(5)));
        assert!(matches!(said(b"\0\0\0\0\x02\x08", b"grpc-status: 0\r\n"), Err(CheckFailure::Malformed(_))));
        assert!(matches!(said(b"\0\0\0\0\x02\x08\x01", b"x: y\r\n"), Err(CheckFailure::Malformed(_))));
        let only = b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 12\r\n\r\n";
        assert_eq!(outcome(&probe, &answer(&probe, &[only], None)), Err(CheckFailure::Grpc(12)));
        let not_found: &[u8] = b"HTTP/1.1 404 Not Found\r\n\r\n";
        assert_eq!(outcome(&probe, &answer(&probe, &[not_found], None)), Err(CheckFailure::Status(404)));
    }

    #[test]
    fn requests_say_whether_they_come_under_tls() {
        let asked = |scheme| {
            let probe = Http2(Question::Health(Grpc::new(String::new())), scheme);
            probe.ask("127.0.0.1:1".parse().unwrap()).output().pending().to_vec()
        };
        let (clear, secure) = (asked(Scheme::Http), asked(Scheme::Https));
        let differing = clear.iter().zip(&secure).filter(|(one, other)| one != other);
        // The static table's entries for `:scheme` (RFC 7541, Appendix A).
        assert_eq!(differing.collect::<Vec<_>>(), [(&0x86, &0x87)]);
    }

    #[test]
    fn what_is_not_http2_fails_at_once() {
        let probe = page(None);
        assert!(matches!(
            outcome(&probe, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            Err(CheckFailure::Malformed(_))
        ));
    }
}
