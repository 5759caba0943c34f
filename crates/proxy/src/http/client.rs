//! The downstream connection and what it keeps from one request to the next.

use super::h2::{self, H2Stream};
use super::h3;
use crate::arrival::{Origin, Proxied, addresses};
use crate::io;
use crate::permits::Permit;
use crate::pump::{Pace, Patience};
use crate::stream::Stream;
use crate::worker::Worker;
use crate::worker::buffers::Buffer;
use crate::worker::deadlines::Deadline;
use crate::worker::view::View;
use evenly_core::client_tls::NO_CERTIFICATE;
use evenly_core::listener::Listener;
use evenly_core::proxy_protocol::Addresses;
use evenly_core::route::host_name;
use evenly_http1::{FieldKind, Version};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long an idle connection may still bring its last request when the worker drains or its listener went away. Closing at once would reset
/// requests that are on their way; waiting longer would hold up the end.
const LEAVE_IDLE: Duration = Duration::from_secs(1);

/// A client's connection.
pub struct Client {
    /// Everything the worker's connections share.
    pub worker: Rc<Worker>,
    /// The connection itself.
    pub stream: Stream,
    /// Who is connected, or whom a trusted proxy names in its PROXY protocol header.
    pub peer: SocketAddr,
    /// What that header said besides.
    pub proxied: Option<Rc<Proxied>>,
    /// The address it came to; names the listener in every snapshot.
    pub bind: SocketAddr,
    /// The listener as of the last request.
    pub listener: Arc<Listener>,
    /// Of the view that this was taken from; 0 before the first request.
    pub generation: u64,
    /// The listener's place in that view's snapshot.
    pub place: usize,
    /// The one deadline that the connection waits under.
    pub deadline: Deadline,
    /// Input behind the last request: the beginning of the next.
    pub carry: Option<Buffer>,
    /// Whether the peer is a trusted proxy.
    pub is_trusted: bool,
    /// `X-Forwarded-For` and `X-Forwarded-Proto` for a client that is not a trusted proxy, rendered once.
    pub forwarding: Rc<[u8]>,
    watch: Watch,
    /// Its place among the listener's connections. A stream has none: its connection has.
    pub permit: Option<Permit>,
}

/// What is known of the client while it waits for its response.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// Nothing came yet; it is told when something does.
    On,
    /// It closed its sending side. Whether it still listens shows only when it is sent something.
    HalfClosed { due: u64 },
    /// It has sent more than is kept (pipelining): what comes behind cannot be seen.
    Off,
}

/// Why waiting for input ended without any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoInput {
    /// The client closed, or the connection broke.
    Closed,
    /// The deadline passed.
    Late,
}

impl Client {
    /// A new connection.
    pub fn new(
        worker: Rc<Worker>,
        stream: Stream,
        Origin { peer, bind, proxied }: Origin,
        listener: Arc<Listener>,
        permit: Option<Permit>,
    ) -> Self {
        let address = peer.ip().to_canonical();
        Self {
            deadline: worker.deadlines.slot(),
            is_trusted: listener.trusted.contains(address),
            forwarding: forwarding(address, &stream, &listener),
            carry: None,
            watch: Watch::On,
            worker,
            stream,
            peer,
            proxied,
            bind,
            listener,
            generation: 0,
            place: 0,
            permit,
        }
    }

    /// One of the streams that this connection carries, as a client of its own.
    pub fn of_stream(&self, stream: H2Stream) -> Self {
        Self {
            worker: Rc::clone(&self.worker),
            stream: Stream::H2(stream),
            peer: self.peer,
            proxied: self.proxied.clone(),
            bind: self.bind,
            listener: Arc::clone(&self.listener),
            generation: self.generation,
            place: self.place,
            deadline: self.worker.deadlines.slot(),
            carry: None,
            is_trusted: self.is_trusted,
            forwarding: Rc::clone(&self.forwarding),
            watch: Watch::On,
            permit: None,
        }
    }

    /// Whether a connection's first bytes may be HTTP/2's; over TLS it has to be agreed on (RFC 9113 §3.2).
    pub fn takes_http2(&self) -> bool {
        self.listener.http2 && self.stream.plain().is_some()
    }

    /// What it speaks, where a request's head says `version`.
    pub fn protocol(&self, version: Version) -> &'static str {
        match self.stream {
            Stream::Plain(_) | Stream::Tls(_) | Stream::TlsOut(_) => version.as_str(),
            Stream::H2(_) => h2::VERSION,
            Stream::H3(_) => h3::VERSION,
        }
    }

    /// The snapshot to serve the next request with; `None` when nothing serves this address any more.
    pub fn pin(&self) -> Option<Rc<View>> {
        let view = self.worker.pin();
        if view.generation == self.generation { Some(view) } else { self.worker.view_of(self.bind) }
    }

    /// "https", if the client came over TLS; else "http".
    pub fn scheme(&self) -> &'static str {
        scheme_of(&self.stream)
    }

    /// Both ends of the connection, as the client sees them.
    pub fn addresses(&self) -> Addresses {
        addresses(self.peer, self.bind, self.proxied.as_deref(), &self.stream)
    }

    /// Waits for the next request's first bytes: what the last read brought too much, or a new read.
    pub async fn next_input(&mut self) -> Result<Buffer, NoInput> {
        self.watch = Watch::On;
        // Old clients end a POST's body with a line end that no length counts (RFC 9112 §2.2): no request begins with it.
        let carry = self.carry.take().filter(|carry| !carry.iter().all(|byte| matches!(byte, b'\r' | b'\n')));
        if let Some(carry) = carry {
            return Ok(carry);
        }
        let mut is_leaving = false;
        self.deadline.set(self.listener.timeouts.idle);
        poll_fn(|cx| {
            if let Poll::Ready(read) = io::poll_read(&mut self.stream, cx, &self.worker.buffers) {
                return Poll::Ready(read.ok().filter(|buffer| !buffer.is_empty()).ok_or(NoInput::Closed));
            }
            if self.is_leaving() && !is_leaving {
                is_leaving = true;
                self.deadline.set(LEAVE_IDLE);
            }
            if self.deadline.passed() { Poll::Ready(Err(NoInput::Late)) } else { Poll::Pending }
        })
        .await
    }

    /// Waits for more of a head, under the deadline that the caller has set.
    pub async fn more_input(&mut self, buffer: &mut Buffer) -> Result<(), NoInput> {
        poll_fn(|cx| match io::poll_read_into(&mut self.stream, cx, buffer) {
            Poll::Ready(Ok(n)) if n > 0 => Poll::Ready(Ok(())),
            Poll::Ready(_) => Poll::Ready(Err(NoInput::Closed)),
            Poll::Pending if self.deadline.passed() => Poll::Ready(Err(NoInput::Late)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Whether the client went away while it waits for its response: ready when it did.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stream {
            Stream::Plain(_) | Stream::Tls(_) | Stream::TlsOut(_) => {}
            Stream::H2(stream) => return stream.poll_gone(cx),
            Stream::H3(stream) => return stream.poll_gone(cx),
        }
        match self.watch {
            Watch::Off => Poll::Pending,
            Watch::HalfClosed { due } if self.deadline.is_past(due) => Poll::Ready(()),
            Watch::HalfClosed { .. } => Poll::Pending,
            Watch::On => self.poll_more(cx),
        }
    }

    /// Whether the client went away, where that can be seen. `is_read`: all of its request was taken in; what is left of a
    /// body must stay where it is, or it would be taken for the next request. A stream need not be read for it.
    pub fn has_gone(&mut self, is_read: bool, cx: &mut Context<'_>) -> bool {
        (is_read || self.stream.frames_messages()) && self.poll_gone(cx).is_ready()
    }

    /// Reads what comes while the client waits, which is the beginning of its next request or the end of its sending:
    /// a client that has gone shows only behind all that it sent.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let read = match &mut self.carry {
                Some(carry) => {
                    carry.compact();
                    if carry.room().is_empty() {
                        self.watch = Watch::Off;
                        return Poll::Pending;
                    }
                    ready!(io::poll_read_into(&mut self.stream, cx, carry)).map(|n| n == 0)
                }
                None => ready!(io::poll_read(&mut self.stream, cx, &self.worker.buffers)).map(|buffer| {
                    let is_end = buffer.is_empty();
                    self.carry = (!is_end).then_some(buffer);
                    is_end
                }),
            };
            match read {
                Ok(false) => {}
                Ok(true) => {
                    self.watch =
                        Watch::HalfClosed { due: self.deadline.at(self.listener.timeouts.half_close) };
                    return Poll::Pending;
                }
                Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// Whether there is input that nobody has read, or will be: closing on it would reset what was just sent.
    pub fn may_have_more(&self) -> bool {
        self.carry.is_some() || !io::is_quiet(&self.stream)
    }

    /// The patience for a client that is sent something by a source that never waits.
    pub fn pace_of_sending(&self) -> Pace {
        Pace::new(Patience::idle(Duration::MAX), self.patience_for_taking())
    }

    /// The patience for a client that is sent something.
    pub fn patience_for_taking(&self) -> Patience {
        let limits = &self.listener.limits;
        let grace = Duration::from_millis(limits.min_rate_grace_ms);
        Patience::paced(self.listener.timeouts.send, limits.min_rate, grace)
    }

    /// Whether what the client says in a field of this kind counts. Of a client that is no trusted proxy nothing is
    /// believed that speaks of others, neither by routes and variables nor towards endpoints.
    pub fn may_say(&self, kind: FieldKind) -> bool {
        match kind {
            FieldKind::XForwardedFor
            | FieldKind::XForwardedProto
            | FieldKind::XForwardedHost
            | FieldKind::XForwardedOther
            | FieldKind::Forwarded
            | FieldKind::XRequestId => self.is_trusted,
            FieldKind::ClientCert => self.is_trusted && !self.tells_certificates(),
            FieldKind::Lookalike => false,
            _ => true,
        }
    }

    /// Whether the listener tells endpoints of its clients' certificates: then nobody else's word on them passes.
    pub fn tells_certificates(&self) -> bool {
        self.listener.tls.as_ref().is_some_and(|tls| tls.asks_clients)
    }

    /// The fields on its certificate, as they stand in `forwarding`.
    pub fn certificate_fields(&self) -> &[u8] {
        let ends = self.forwarding.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        ends.map(|(at, _)| &self.forwarding[at + 1..]).nth(1).unwrap_or_default()
    }

    /// The line of `Strict-Transport-Security` for its responses; empty where there is none. Never without TLS, whatever
    /// a reload has made of the listener (RFC 6797 §7.2).
    pub fn hsts(&self) -> &[u8] {
        let line = self.listener.tls.as_ref().and_then(|tls| tls.hsts.as_deref());
        line.filter(|_| self.stream.facts().is_some()).unwrap_or_default()
    }

    /// The line of `Alt-Svc` for its responses, if HTTP/3 is spoken here and it does not speak it yet.
    pub fn alt_svc(&self) -> &[u8] {
        match self.stream {
            Stream::Plain(_) | Stream::TlsOut(_) | Stream::H3(_) => &[],
            Stream::Tls(_) | Stream::H2(_) => self.listener.alt_svc(),
        }
    }

    /// Takes over what has changed of its listener; false if that wants certificates now, and the client has shown none.
    pub fn follow(&mut self, listener: &Arc<Listener>) -> bool {
        let asks = |listener: &Listener| listener.tls.as_ref().is_some_and(|tls| tls.asks_clients);
        if asks(listener) != asks(&self.listener) {
            self.forwarding = forwarding(self.peer.ip().to_canonical(), &self.stream, listener);
        }
        self.is_trusted = listener.trusted.contains(self.peer.ip().to_canonical());
        self.listener = Arc::clone(listener);
        let has_certificate = self.stream.facts().is_some_and(|facts| facts.client.certificate.is_some());
        has_certificate || !listener.tls.as_ref().is_some_and(|tls| tls.requires_clients)
    }

    /// Whether a request is for a host that the connection's certificate is not for, where that matters (strict SNI). It is
    /// judged by the certificates of today; a client whose has lost a name finds out by a new connection.
    pub fn is_misdirected(&self, view: &View, authority: &str) -> bool {
        let (Some(tls), Some(facts)) = (&self.listener.tls, self.stream.facts()) else { return false };
        if !tls.strict_sni {
            return false;
        }
        let (asked, host) = (facts.name.as_deref().unwrap_or_default(), host_name(authority));
        // A request that names no host, as HTTP/1.0 allows, is for the one that the connection has named.
        !host.is_empty()
            && !host.eq_ignore_ascii_case(asked)
            && view.termination(self.bind).is_some_and(|termination| !termination.names.reaches(asked, host))
    }

    /// Whether the connection is to end after what is under way on it.
    pub fn is_leaving(&self) -> bool {
        self.worker.is_leaving(self.bind)
    }

    /// The client took something: if it has closed its sending side, it gets its patience anew.
    pub fn listens(&mut self) {
        if let Watch::HalfClosed { due } = &mut self.watch {
            *due = self.deadline.at(self.listener.timeouts.half_close);
        }
    }

    /// When [`Client::poll_gone`] wants to be asked again at the latest.
    pub fn gone_due(&self) -> u64 {
        if let Watch::HalfClosed { due } = self.watch { due } else { u64::MAX }
    }
}

/// The forwarding fields that are the same for all requests of a client that is not a trusted proxy.
fn forwarding(address: IpAddr, stream: &Stream, listener: &Listener) -> Rc<[u8]> {
    let scheme = scheme_of(stream);
    let mut fields = format!("X-Forwarded-For: {address}\r\nX-Forwarded-Proto: {scheme}\r\n");
    if listener.tls.as_ref().is_some_and(|tls| tls.asks_clients) {
        let facts = stream.facts();
        match facts.and_then(|facts| facts.client.certificate.as_ref()) {
            Some(certificate) => certificate.fields(&mut fields),
            None => fields.push_str(NO_CERTIFICATE),
        }
    }
    fields.into_bytes().into()
}

fn scheme_of(stream: &Stream) -> &'static str {
    if stream.facts().is_some() { "https" } else { "http" }
}
