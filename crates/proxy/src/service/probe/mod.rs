//! What a health check asks of an endpoint and how it judges the answer: one file for each kind, without I/O.
//!
//! A [`Probe`] belongs to a pool and holds what is the same for all of its checks; [`Progress`] belongs to one check.
//! `check.rs` connects, sends, receives and keeps the time.

mod dns;
mod either;
mod grpc;
mod http;
mod http2;
mod search;
mod tcp;
mod udp;

use crate::tls::{Alpn, NO_ALPN};
use evenly_core::document;
use evenly_core::grpc::STATUSES;
use evenly_http2::Scheme;
use search::Search;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// How much of an answer is looked at. A health page is small; whoever needs more should say it at the beginning.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Names of DNS response codes (RFC 1035 §4.1.1).
const RCODES: [&str; 6] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

/// What gRPC's health service says, by number.
const SERVING: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// One kind of check.
pub trait Probe {
    /// What is sent to `address` once connected; may be empty.
    fn request(&self, address: SocketAddr) -> Vec<u8>;

    /// A check that has received nothing yet, or `None` if having connected and sent is all that is asked.
    fn begin(&self) -> Option<Progress>;

    /// Judges what came next.
    fn receive(&self, progress: &mut Progress, bytes: &mut [u8]) -> Verdict;

    /// What is offered where TLS is spoken.
    fn alpn(&self) -> Alpn {
        NO_ALPN
    }

    /// What is asked instead of an endpoint that has chosen HTTP/2.
    fn by_http2(&self) -> Option<&dyn Probe> {
        None
    }

    /// Whether it goes by UDP.
    fn is_datagram(&self) -> bool {
        false
    }
}

/// The table of all kinds. `http2`: how the endpoints are spoken to by HTTP/2, if they are; `is_secure`: under TLS.
pub fn new(probe: &document::Probe, http2: Option<&document::Http2>, is_secure: bool) -> Box<dyn Probe> {
    let scheme = if is_secure { Scheme::Https } else { Scheme::Http };
    match probe {
        document::Probe::Http { method, path, host, expected_status, expected_body, reuse_connection } => {
            let page = |reuses| {
                http::Http::new(
                    method.clone(),
                    path.clone(),
                    host.clone(),
                    expected_status.clone(),
                    expected_body.clone(),
                    reuses,
                )
            };
            let by_http2 = || http2::Http2(http2::Question::Page(page(false)), scheme);
            match http2 {
                None => Box::new(page(*reuse_connection)),
                Some(http2) if http2.negotiated => {
                    Box::new(either::Either { http1: page(*reuse_connection), http2: by_http2() })
                }
                Some(_) => Box::new(by_http2()),
            }
        }
        document::Probe::Grpc { service } => {
            let health = grpc::Grpc::new(service.clone());
            Box::new(http2::Http2(http2::Question::Health(health), scheme))
        }
        document::Probe::Tcp { send, expect } => Box::new(tcp::Tcp::new(send.clone(), expect.clone())),
        document::Probe::Udp { send, expect } => Box::new(udp::Udp::new(send.clone(), expect.clone())),
        document::Probe::Dns { name, record, expected_rcode } => {
            Box::new(dns::Dns::new(name, *record, expected_rcode.clone()))
        }
    }
}

/// How far a check is. Owns memory only if an answer comes in pieces.
#[derive(Debug)]
pub struct Progress {
    /// What the check comes to if nothing more is received.
    pub so_far: Result<(), CheckFailure>,
    /// Bytes that may still be received before the answer counts as too long.
    left: usize,
    /// The whole answer came, and the connection can carry another check.
    pub is_reusable: bool,
    http: http::Stage,
    http2: Option<Box<http2::Exchange>>,
    search: Search,
}

impl Progress {
    fn new(so_far: Result<(), CheckFailure>) -> Self {
        Self {
            so_far,
            left: MAX_ANSWER_BYTES,
            is_reusable: false,
            http: http::Stage::default(),
            http2: None,
            search: Search::default(),
        }
    }

    /// The outcome when `failure` ends the check early: what is certain already stays so.
    pub fn interrupted(&self, failure: CheckFailure) -> Result<(), CheckFailure> {
        match self.so_far {
            Err(CheckFailure::Closed | CheckFailure::TextMissing) => Err(failure),
            certain => certain,
        }
    }
}

/// Whether to go on receiving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The outcome may change, or the answer is not complete.
    Continue,
    /// The outcome is [`Progress::so_far`].
    Done,
}

/// What a check was doing when its time was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Connecting.
    Connect,
    /// Agreeing on a TLS session.
    Handshake,
    /// Sending or receiving.
    Exchange,
}

/// Why a check failed. Its text is the reason that logs, metrics and `evenly status` show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckFailure {
    /// No connection: the system's error number.
    Connect(i32),
    /// No TLS session, or the endpoint ended it with an alert.
    Tls(&'static str),
    /// The connection broke: the system's error number.
    Exchange(i32),
    /// The check's deadline passed.
    Timeout(Step),
    /// The endpoint closed the connection before its answer was complete.
    Closed,
    /// The answer is not HTTP/1.x.
    Malformed(&'static str),
    /// A status that was not expected.
    Status(u16),
    /// The expected text is not in what was received.
    TextMissing,
    /// A status of gRPC that says that the call failed.
    Grpc(u8),
    /// What gRPC's health service says other than SERVING.
    Serving(u8),
    /// A DNS response code that was not expected.
    Rcode(u8),
}

impl CheckFailure {
    /// Whether this node, not the endpoint, is to blame: it has no descriptor, memory or port for the connection.
    pub fn is_local(self) -> bool {
        use rustix::io::Errno;
        let local = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
        matches!(self, Self::Connect(number) if local.iter().any(|errno| errno.raw_os_error() == number))
    }

    /// The number that the system gave for `error`.
    pub(super) fn number(error: &io::Error) -> i32 {
        error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error())
    }
}

impl fmt::Display for CheckFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(number) => write!(f, "connect: {}", Explained(*number)),
            Self::Exchange(number) => write!(f, "response: {}", Explained(*number)),
            Self::Timeout(Step::Connect) => f.write_str("connect: timed out"),
            Self::Timeout(Step::Handshake) => f.write_str("tls: timed out"),
            Self::Tls(what) => write!(f, "tls: {what}"),
            Self::Timeout(Step::Exchange) => f.write_str("response: timed out"),
            Self::Closed => f.write_str("response: connection closed before its end"),
            Self::Malformed(what) => write!(f, "response: {what}"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::TextMissing => f.write_str("response: expected text not found"),
            Self::Grpc(status) => {
                let name = STATUSES.get(usize::from(*status)).unwrap_or(&"");
                write!(f, "grpc-status {status} {name}")
            }
            Self::Serving(status) => match SERVING.get(usize::from(*status)) {
                Some(name) => write!(f, "health status {name}"),
                None => write!(f, "health status {status}"),
            },
            Self::Rcode(code) => match RCODES.get(usize::from(*code)) {
                Some(name) => write!(f, "response: {name}"),
                None => write!(f, "response: code {code}"),
            },
        }
    }
}

/// An error number in words: the standard library's where it has some, else the system's.
struct Explained(i32);

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = io::Error::from_raw_os_error(self.0);
        let kind = error.kind().to_string();
        if kind == "uncategorized error" { write!(f, "{error}") } else { f.write_str(&kind) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_like_sentences_and_local_shortages_are_told_apart() {
        assert_eq!(CheckFailure::Connect(111).to_string(), "connect: connection refused");
        assert_eq!(CheckFailure::Connect(24).to_string(), "connect: Too many open files (os error 24)");
        assert_eq!(CheckFailure::Status(503).to_string(), "status 503");
        assert!(CheckFailure::Connect(24).is_local() && !CheckFailure::Connect(111).is_local());
    }
}
