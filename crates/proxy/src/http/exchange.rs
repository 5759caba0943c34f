//! One request and its response: what is known from the plan on until it is recorded.

use super::bond::Bond;
use super::compress::Coding;
use super::grpc::Call;
use super::hedge::Hedged;
use super::kept::Kept;
use super::mirror::Mirroring;
use super::retry::Tries;
use crate::pump::Pump;
use crate::worker::Worker;
use crate::worker::buffers::Text;
use crate::worker::view::View;
use evenly_core::circuit::Permit;
use evenly_core::error::{Failure, Side};
use evenly_core::grpc;
use evenly_core::outlier::Outcome;
use evenly_core::pool::{EndpointId, Lease, Nanos, Pool};
use evenly_core::retry::Policy;
use evenly_core::route::{Injected, Route};
use evenly_http1::{BodyReader, Version};
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A request on its way through the steps.
pub struct Exchange {
    /// The snapshot it lives and dies with.
    pub view: Rc<View>,
    /// The route's place in the snapshot.
    pub route: usize,
    /// The pool's place in the snapshot.
    pub pool: usize,
    /// What the hash balancers go by.
    pub key: Option<u64>,
    /// What binds its client to an endpoint or a variant; `None` where nothing has affinity.
    pub bond: Option<Bond>,
    /// The head for the endpoint, and a small body behind it once it is all there.
    pub head: Text,
    /// Where in `head` the `Host` line with the endpoint's address belongs, when it is not the client's.
    pub host_at: Option<Range<usize>>,
    /// The request's body, from the first byte behind its head.
    pub body: BodyReader,
    /// Whether nobody knows how long the body is: by HTTP/1.1 the endpoint gets it in chunks.
    pub is_chunked: bool,
    /// How what of such a body is kept behind `head` is framed.
    pub kept: Kept,
    /// Whether trailers of the response are passed on; those between two sides that can only speak HTTP/1.1 are not.
    pub takes_trailers: bool,
    /// Whether the client has announced trailers of the request.
    pub gives_trailers: bool,
    /// Bytes the body may have; `u64::MAX` for no limit.
    pub body_limit: u64,
    /// Bytes of the client's head in its buffer.
    pub head_length: usize,
    /// What the method means for the exchange.
    pub method: Method,
    /// The client's version.
    pub version: Version,
    /// Whether the client wants to keep its connection.
    pub keep_alive: bool,
    /// Whether an `Upgrade` was passed on.
    pub wants_upgrade: bool,
    /// Whether the client holds its body back until it gets 100 (RFC 9110 §10.1.1).
    pub awaits_continue: bool,
    /// What its response may become on its way to the client.
    pub coding: Coding,
    /// The route's fields for the response, rendered while the request was at hand.
    pub response_fields: Option<Text>,
    /// Whether all that was sent is still at hand, and nothing of a response has come: the condition for sending it
    /// once more.
    pub can_repeat: bool,
    /// Whether the endpoint stopped taking the request before its end: its client may still be sending.
    pub is_cut: bool,
    /// The tick at which the endpoint's response head is late; `u64::MAX` while the request is still being sent.
    pub response_due: u64,
    /// The tick at which the head of the final response is late, whatever was tried; `u64::MAX` for never.
    pub due: u64,
    /// What goes wrong on purpose. Boxed, as it is rare.
    pub fault: Option<Box<Injected>>,
    /// What is laid aside for the request's copy.
    pub mirror: Option<Box<Mirroring>>,
    /// What its pool's circuit breaker has let it in with, until that knows how it ended.
    pub permit: Option<Permit>,
    /// What the access log will say.
    pub tally: Tally,
}

/// What a method means for the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The response has no body.
    Head,
    /// A tunnel follows a 2xx.
    Connect,
    /// May be sent twice (RFC 9110 §9.2.2).
    Idempotent,
    /// May have changed something by the first send.
    Other,
}

impl Method {
    /// By name; names compare with case.
    pub fn from_name(name: &str) -> Self {
        match name {
            "HEAD" => Self::Head,
            "CONNECT" => Self::Connect,
            "GET" | "OPTIONS" | "TRACE" | "PUT" | "DELETE" => Self::Idempotent,
            _ => Self::Other,
        }
    }

    /// Whether sending the request twice does no harm.
    pub fn is_idempotent(self) -> bool {
        matches!(self, Self::Head | Self::Idempotent)
    }

    /// What `evenly_http1::parse_response` needs to know of it.
    pub fn for_response(self) -> &'static str {
        match self {
            Self::Head => "HEAD",
            Self::Connect => "CONNECT",
            Self::Idempotent | Self::Other => "GET",
        }
    }
}

/// What is counted of an exchange, and what the access log says of it.
pub struct Tally {
    /// When its first bytes were there.
    pub started: Nanos,
    /// For an endpoint with room.
    pub queue: Nanos,
    /// For connecting to the endpoint; zero when a connection was reused.
    pub connect: Nanos,
    /// From sending to the response's head.
    pub upstream: Nanos,
    /// When the last byte of the answer was sent; `None` until then.
    pub ended: Option<Nanos>,
    /// Bytes from the client, head included.
    pub bytes_in: u64,
    /// Bytes to the client, head included.
    pub bytes_out: u64,
    /// The status that the client got; 0 when it got none.
    pub status: u16,
    /// The endpoint that was asked last.
    pub endpoint: Option<(EndpointId, SocketAddr)>,
    /// The tries that failed.
    pub tries: Tries,
    /// Whether a second try began beside the first.
    pub hedged: Hedged,
    /// Why it ended other than by the endpoint's whole answer.
    pub failure: Option<Failure>,
    /// The call of gRPC that it is. Boxed: requests of HTTP/1.1 are none.
    pub call: Option<Box<Call>>,
    /// What was spoken to the endpoint, where that is not HTTP/1.1 for all of its pool.
    pub spoken: Option<&'static str>,
    /// The request's part of its access-log line.
    pub line: Option<crate::access_log::Line>,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new(started: Nanos, line: Option<crate::access_log::Line>) -> Self {
        Self {
            started,
            queue: 0,
            connect: 0,
            upstream: 0,
            ended: None,
            bytes_in: 0,
            bytes_out: 0,
            status: 0,
            endpoint: None,
            tries: Tries::default(),
            hedged: Hedged::No,
            failure: None,
            call: None,
            spoken: None,
            line,
        }
    }
}

impl Tally {
    /// The response's head has arrived.
    pub fn arrived(&mut self, now: Nanos) {
        let began = self.tries.failed().and_then(|failed| failed.began);
        let (began, connect_before) = began.unwrap_or((self.started + self.queue, 0));
        let connect = self.connect.saturating_sub(connect_before);
        self.upstream = now.saturating_sub(began).saturating_sub(connect);
    }
}

impl Exchange {
    /// The response's head has arrived: tells the balancer that learns from latency how long the endpoint took, and
    /// outlier detection and the circuit breakers what came of it.
    pub fn observe(&mut self, worker: &Worker, lease: &Lease, outcome: Outcome) {
        if let Some(permit) = self.permit.take() {
            self.pool().leave(permit, outcome == Outcome::Success);
        }
        let nanos = self.tally.upstream;
        self.pool().observe(lease, outcome, nanos);
        self.pool().observe_latency(lease.endpoint(), outcome, nanos, || worker.now());
    }

    /// The attempt failed, before or within the response. A reused connection that broke says nothing: its endpoint may
    /// only have closed it.
    pub fn observe_failure(&self, worker: &Worker, lease: &Lease, failure: Failure, was_reused: bool) {
        // Of a response it says something, whoever had the connection before.
        let is_stale = was_reused && !matches!(failure, Failure::UpstreamStatus) && failure.is_retryable();
        if failure.side() == Side::Upstream && !is_stale {
            let call = self.tally.call.as_ref().and_then(|call| call.status);
            let outcome = match (failure, call) {
                (Failure::UpstreamStatus, Some(status)) => grpc::outcome(status),
                (Failure::UpstreamStatus, None) => Outcome::of_status(self.tally.status),
                _ => Outcome::LocalOriginFailure,
            };
            // What is no failure of the endpoint's says nothing here: how long it took is not at hand.
            if outcome != Outcome::Success {
                self.pool().observe(lease, outcome, 0);
                self.pool().observe_latency(lease.endpoint(), outcome, 0, || worker.now());
            }
        }
    }

    /// What is kept of the request to be sent again, as `pump` has framed it.
    pub fn keep(&mut self, whole: Text, pump: &Pump) {
        self.head = whole;
        self.kept = match pump.is_chunked() {
            _ if !self.is_chunked => Kept::Nothing,
            true => Kept::Chunks,
            false => Kept::Bare,
        };
    }

    /// Before its first *pick*: a pool whose circuit is open is spared it.
    ///
    /// # Errors
    /// That it is.
    #[inline]
    pub fn enter(&mut self, worker: &Worker) -> Result<(), Failure> {
        if self.pool().circuit.is_some() && self.permit.is_none() {
            self.permit = worker.enter(self.pool());
            if self.permit.is_none() {
                return Err(Failure::CircuitOpen);
            }
        }
        Ok(())
    }

    /// Its client is told of a failure. What says nothing of the endpoints, such as a client that went, says nothing to the
    /// circuit breaker either.
    pub fn give_up(&mut self, failure: Failure) {
        if let Some(permit) = self.permit.take()
            && failure.side() == Side::Upstream
            && self.tally.endpoint.is_some()
        {
            self.pool().leave(permit, false);
        }
    }

    /// After how many seconds its client may try again.
    pub fn retry_after(&self, worker: &Worker, failure: Failure) -> Option<u32> {
        match &self.pool().circuit {
            Some(circuit) if failure == Failure::CircuitOpen => Some(circuit.retry_after(worker.now())),
            _ => failure.retry_after(),
        }
    }

    /// Whether it may wait for an endpoint with room; after a failure there is no time to lose.
    pub fn waits(&self) -> bool {
        self.pool().queue.is_some() && self.tally.tries.failed().is_none()
    }

    /// Its endpoint has room again: whoever waits may look.
    pub fn make_room(&self) {
        if self.pool().queue.is_some() {
            self.pool().waiting.call();
        }
    }

    /// What is counted of it, for whoever goes on with it.
    pub fn take_tally(&mut self) -> Tally {
        let nothing = Tally::new(self.tally.started, None);
        std::mem::replace(&mut self.tally, nothing)
    }

    /// The route that it took.
    pub fn route(&self) -> &Arc<Route> {
        &self.view.snapshot.routes[self.route]
    }

    /// The pool that it goes to.
    pub fn pool(&self) -> &Arc<Pool> {
        self.view.pool(self.pool)
    }

    /// The connect timeout: the route's, or the pool's.
    pub fn connect_timeout(&self) -> Duration {
        let pool = self.pool().timeouts.connect_ms;
        self.route().timeouts.connect.unwrap_or(Duration::from_millis(pool))
    }

    /// How long the endpoint may take until its response's head, in one try.
    pub fn response_timeout(&self) -> Duration {
        let response = self.longest_pause();
        self.retry().try_timeout.map_or(response, |one| one.min(response))
    }

    /// How long a pause before another try may be where no deadline holds for all tries: as long as a response.
    pub fn longest_pause(&self) -> Duration {
        let pool = self.pool().timeouts.response_ms;
        self.route().timeouts.response.unwrap_or(Duration::from_millis(pool))
    }

    /// How long the final response's head may take, over all tries.
    pub fn request_timeout(&self) -> Option<Duration> {
        let pool = self.pool().timeouts.request_ms;
        self.route().timeouts.request.or(pool.map(Duration::from_millis))
    }

    /// When it is tried again: the route's policy, or the pool's.
    pub fn retry(&self) -> &Policy {
        self.route().retry.as_ref().unwrap_or(&self.pool().retry)
    }

    /// How long the endpoint may be silent within a body.
    pub fn idle_timeout(&self) -> Duration {
        let pool = self.pool().timeouts.idle_ms;
        self.route().timeouts.idle.unwrap_or(Duration::from_millis(pool))
    }
}
