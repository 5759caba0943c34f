//! Answers that Evenly makes itself: errors, redirections and fixed responses.

use super::client::Client;
use super::exchange::Tally;
use super::grpc::write as write_status;
use crate::clock;
use crate::io;
use crate::worker::buffers::Text;
use evenly_core::answer::{self, ErrorPages, reason_phrase};
use evenly_core::error::Failure;
use evenly_core::grpc;
use evenly_core::route::Route;
use evenly_core::template::{Template, Variables};
use evenly_http1::Version;
use std::future::poll_fn;
use std::io::{ErrorKind, Write};
use std::task::Poll;

/// The field that [`Client::hsts`] is a line of.
pub const HSTS: &str = "strict-transport-security";

/// The field that [`Client::alt_svc`] is a line of.
pub const ALT_SVC: &str = "alt-svc";

/// How the client wants it.
pub struct Manner {
    /// It asked with HEAD: no body.
    pub is_head: bool,
    /// The connection can go on.
    pub keep_alive: bool,
    /// HTTP/1.0 has to be told that it can.
    pub version: Version,
    /// It is a call of gRPC, which has statuses of its own.
    pub is_call: bool,
}

/// A rendered answer.
pub struct Answer {
    text: Text,
    /// Its status.
    pub status: u16,
    /// The status that it has as an answer to a call of gRPC.
    grpc_status: Option<u8>,
    /// Whether the connection goes on behind it.
    pub keep_alive: bool,
}

impl Answer {
    /// The error page of a failure.
    pub fn failure(client: &Client, pages: &ErrorPages, failure: Failure, manner: &Manner) -> Self {
        Self::refusal(client, pages, (failure, None), manner)
    }

    /// The error page of a failure, with one more line in its head.
    pub fn refusal(
        client: &Client,
        pages: &ErrorPages,
        (failure, line): (Failure, Option<&[u8]>),
        manner: &Manner,
    ) -> Self {
        let told = (failure.status(), failure.retry_after());
        Self::page(client, pages, told, line.unwrap_or_default(), manner)
    }

    /// The error page of a status, and after how many seconds the client may try again.
    pub fn failure_as(
        client: &Client,
        pages: &ErrorPages,
        told: (u16, Option<u32>),
        manner: &Manner,
    ) -> Self {
        Self::page(client, pages, told, b"", manner)
    }

    fn page(
        client: &Client,
        pages: &ErrorPages,
        (status, wait): (u16, Option<u32>),
        line: &[u8],
        manner: &Manner,
    ) -> Self {
        if manner.is_call {
            return Self::call(client, status, line, manner);
        }
        let mut answer = Self::begin(client, status, manner);
        if let Some(seconds) = wait.filter(|_| matches!(status, 429 | 503)) {
            answer.number(b"Retry-After: ", u64::from(seconds));
        }
        if status == 405 {
            // It must be there (RFC 9110 §15.5.6). What CONNECT asks for has no methods beside that one.
            answer.text.extend_from_slice(b"Allow:\r\n");
        }
        answer.text.extend_from_slice(line);
        if pages.has(status) {
            let (content_type, body) = pages.body(status);
            answer.finish(Some(content_type.as_bytes()), body, manner)
        } else {
            let body = format!("{status} {}\n", reason_phrase(status));
            answer.finish(Some(b"text/plain"), body.as_bytes(), manner)
        }
    }

    /// What a call of gRPC is told instead of a page: a response of trailers alone, which says by its status what HTTP
    /// would by `status`.
    fn call(client: &Client, status: u16, line: &[u8], manner: &Manner) -> Self {
        let mut answer = Self::begin(client, 200, manner);
        let of_call = grpc::of_http(status);
        answer.grpc_status = Some(of_call);
        answer.text.extend_from_slice(line);
        answer.text.extend_from_slice(b"Content-Type: application/grpc\r\n");
        write_status(&mut answer.text, of_call, reason_phrase(status));
        answer.finish(None, b"", manner)
    }

    /// Writes down what its client gets.
    pub fn note(&self, tally: &mut Tally) {
        tally.status = self.status;
        if let Some(call) = &mut tally.call {
            call.status = self.grpc_status;
        }
    }

    /// The answer of a service that Evenly has asked: its status, these lines of its head, and its body.
    pub fn passed_on(client: &Client, status: u16, lines: &[u8], body: &[u8], manner: &Manner) -> Self {
        let mut answer = Self::begin(client, status, manner);
        answer.text.extend_from_slice(lines);
        answer.finish(None, body, manner)
    }

    /// A redirection, with the route's response fields.
    pub fn redirect(
        client: &Client,
        (to, status): (&Template, u16),
        route: &Route,
        variables: &Variables<'_>,
        manner: &Manner,
    ) -> Self {
        let mut answer = Self::begin_of(client, status, route, manner);
        route.response_rules.write(&mut answer.text, variables);
        answer.text.extend_from_slice(b"Location: ");
        to.render_location(&mut answer.text, variables);
        answer.text.extend_from_slice(b"\r\n");
        answer.finish(None, b"", manner)
    }

    /// A fixed response, with the route's response fields.
    pub fn respond(
        client: &Client,
        response: &answer::Answer,
        route: &Route,
        variables: &Variables<'_>,
        manner: &Manner,
    ) -> Self {
        let mut answer = Self::begin_of(client, response.status, route, manner);
        let content_type =
            (!route.response_rules.drops("content-type")).then_some(response.content_type.as_bytes());
        route.response_rules.write(&mut answer.text, variables);
        answer.finish(content_type, &response.body, manner)
    }

    /// A head that says it all.
    pub fn empty(client: &Client, status: u16, manner: &Manner) -> Self {
        Self::begin(client, status, manner).finish(None, b"", manner)
    }

    fn begin(client: &Client, status: u16, manner: &Manner) -> Self {
        let mut answer = Self::begin_bare(client, status, manner);
        answer.text.extend_from_slice(client.hsts());
        answer.text.extend_from_slice(client.alt_svc());
        answer
    }

    /// Of a route that may have its own mind about what the listener adds.
    fn begin_of(client: &Client, status: u16, route: &Route, manner: &Manner) -> Self {
        let mut answer = Self::begin_bare(client, status, manner);
        if !route.response_rules.drops(HSTS) {
            answer.text.extend_from_slice(client.hsts());
        }
        if !route.response_rules.drops(ALT_SVC) {
            answer.text.extend_from_slice(client.alt_svc());
        }
        answer
    }

    fn begin_bare(client: &Client, status: u16, manner: &Manner) -> Self {
        let keep_alive = manner.keep_alive && !client.is_leaving();
        let mut text = client.worker.buffers.text();
        // Writing to memory does not fail.
        let _ = write!(text, "HTTP/1.1 {status} {}\r\nDate: ", reason_phrase(status));
        clock::write_http_date(&mut text);
        text.extend_from_slice(b"\r\n");
        Self { text, status, grpc_status: None, keep_alive }
    }

    fn number(&mut self, name: &[u8], value: u64) {
        self.text.extend_from_slice(name);
        let _ = write!(self.text, "{value}\r\n");
    }

    fn finish(mut self, content_type: Option<&[u8]>, body: &[u8], manner: &Manner) -> Self {
        if let Some(content_type) = content_type.filter(|_| !body.is_empty()) {
            self.text.extend_from_slice(b"Content-Type: ");
            self.text.extend_from_slice(content_type);
            self.text.extend_from_slice(b"\r\n");
        }
        // 204 and 304 must not state a length (RFC 9110 §8.6).
        let has_body = !matches!(self.status, 204 | 304);
        if has_body {
            self.number(b"Content-Length: ", body.len() as u64);
        }
        match (self.keep_alive, manner.version) {
            (false, _) => self.text.extend_from_slice(b"Connection: close\r\n"),
            (true, Version::Http10) => self.text.extend_from_slice(b"Connection: keep-alive\r\n"),
            (true, Version::Http11) => {}
        }
        self.text.extend_from_slice(b"\r\n");
        if has_body && !manner.is_head {
            self.text.extend_from_slice(body);
        }
        self
    }

    /// Sends it.
    pub async fn send(&self, client: &mut Client) -> Sent {
        write_all(client, &self.text).await
    }
}

/// How far something got that was sent to the client.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// Bytes that the client took.
    pub bytes: u64,
    /// Why it took no more; `None` when it took all.
    pub failure: Option<Failure>,
}

/// Writes `bytes` to the client, with its patience and minimum rate.
pub async fn write_all(client: &mut Client, bytes: &[u8]) -> Sent {
    let mut pace = None;
    let mut sent = 0;
    while sent < bytes.len() {
        let wrote = poll_fn(|cx| match io::poll_write(&mut client.stream, cx, &bytes[sent..]) {
            Poll::Ready(Ok(n)) if n > 0 => Poll::Ready(Ok(n)),
            // What cannot be said by HTTP/2, such as a wrong `Sec-WebSocket-Accept`.
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::InvalidData => {
                Poll::Ready(Err(Failure::ResponseBad))
            }
            Poll::Ready(_) => Poll::Ready(Err(Failure::ClientGone)),
            Poll::Pending => {
                let pace = pace.get_or_insert_with(|| client.pace_of_sending());
                if pace.is_late(&client.deadline, false, sent as u64) {
                    return Poll::Ready(Err(Failure::SendTimeout));
                }
                client.deadline.set_at(pace.due());
                Poll::Pending
            }
        });
        match wrote.await {
            Ok(n) => sent += n,
            Err(failure) => return Sent { bytes: sent as u64, failure: Some(failure) },
        }
        if let Some(pace) = &mut pace {
            pace.moved(&client.deadline);
        }
    }
    Sent { bytes: sent as u64, failure: None }
}
