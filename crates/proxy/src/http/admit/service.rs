//! Forward-auth: asks a service whether a request may pass.
//!
//! The question is a request without a body, over the same pools, balancers, idle connections and retry budgets as
//! everything else.

use super::super::answer::{Answer, Manner};
use super::super::client::Client;
use super::super::connect::{Lost, Terms, idle, lost_on, open};
use super::super::request::{Rendering, forwarding};
use crate::io;
use crate::metrics::ForwardAuth as Outcome;
use crate::upstream::{Upstream, part};
use crate::worker::Worker;
use crate::worker::buffers::{Buffer, READ_BYTES, Text};
use crate::worker::view::View;
use evenly_core::access::ForwardAuth;
use evenly_core::affinity::Ask;
use evenly_core::affinity::pick::by_balancer;
use evenly_core::error::{Failure, Side};
use evenly_core::hash_key::HashKey;
use evenly_core::outlier::Outcome as Observed;
use evenly_core::pool::{Endpoint, EndpointId, Lease, Nanos, Pool};
use evenly_core::retry::{Cause, Price, Try};
use evenly_http1::{BodyReader, FieldKind, HeadLimits, MAX_FIELDS, Slots, parse_response};
use std::future::poll_fn;
use std::io::Write;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Bytes of an answer's body that are passed on to the client. A page that asks for a password fits; a service whose
/// denial is larger counts as failed.
const BODY_BYTES: usize = 64 * 1024;

const LIMITS: HeadLimits = HeadLimits { head_bytes: READ_BYTES, fields: MAX_FIELDS, target_bytes: 0 };

/// A question to a service.
pub struct Service {
    forward: Arc<ForwardAuth>,
    /// All of the question's head but its first line and `Host`.
    fields: Text,
}

/// What a service said.
pub enum Answered {
    /// The request passes, and the endpoint is told these fields.
    Passed(Text),
    /// The client is told this.
    Denied(Denial),
    /// Nothing in time, or nothing that could be passed on.
    Failed,
}

impl Answered {
    /// What the service's pool is told by it.
    fn is_success(&self) -> bool {
        match self {
            Self::Passed(_) => true,
            Self::Denied(denial) => denial.status < 500,
            Self::Failed => false,
        }
    }
}

/// A service's answer for the client.
pub struct Denial {
    status: u16,
    fields: Text,
    body: Text,
}

impl Denial {
    /// As it is sent.
    pub fn answer(&self, client: &Client, manner: &Manner) -> Answer {
        Answer::passed_on(client, self.status, &self.fields, &self.body, manner)
    }
}

/// Who is being asked.
#[derive(Default)]
struct Asked {
    lease: Option<Lease>,
    /// Whether anybody was.
    is_any: bool,
}

/// An answer's head, and what is known of its body.
struct Answering {
    status: u16,
    /// Fields for whoever they are meant for.
    fields: Text,
    length: usize,
    body: BodyReader,
    keep_alive: bool,
}

impl Service {
    /// Renders what the service is told: of the client's fields those that it is meant to see, and what Evenly knows.
    pub fn new(client: &Client, rendering: &Rendering<'_>, forward: &Arc<ForwardAuth>) -> Self {
        let (head, variables) = (rendering.head, rendering.variables);
        let mut fields = client.worker.buffers.text();
        head.copy_fields(&mut fields, |field| match field.kind {
            FieldKind::XForwardedProto
            | FieldKind::XForwardedHost
            | FieldKind::XForwardedOther
            | FieldKind::Forwarded => client.is_trusted,
            FieldKind::Lookalike => false,
            FieldKind::ClientCert => client.is_trusted && !client.tells_certificates(),
            _ => !field.hop && forward.tells(&field.name),
        });
        let query = variables.query.map_or(("", ""), |query| ("?", query));
        // Writing to memory does not fail.
        let _ = write!(
            fields,
            "X-Forwarded-Method: {}\r\nX-Forwarded-Uri: {}{}{}\r\n",
            variables.method, variables.path, query.0, query.1
        );
        forwarding(client, rendering, &mut fields);
        fields.extend_from_slice(b"\r\n");
        Self { forward: Arc::clone(forward), fields }
    }

    /// Asks, within the service's timeout.
    pub async fn ask(self, client: &mut Client, view: &Rc<View>, client_ip: IpAddr) -> Answered {
        let timeout = self.forward.timeout;
        let chosen = self.forward.pool.0 as usize;
        let (place, permit) = client.worker.taking(view, chosen, client.worker.now());
        let mut asked = Asked::default();
        let alarm = Rc::clone(&client.worker.alarm);
        let permit = permit.or_else(|| client.worker.enter(view.pool(place)));
        let within = match permit {
            Some(_) => alarm.within(timeout, self.tries(client, (view, place), client_ip, &mut asked)).await,
            None => Some(Err(Failure::CircuitOpen)),
        };
        let answered = match within {
            Some(Ok(answered)) => answered,
            Some(Err(_)) => Answered::Failed,
            None => {
                if let Some(lease) = &asked.lease {
                    failed(client, view.pool(place), lease, Failure::ResponseTimeout);
                }
                Answered::Failed
            }
        };
        asked.lease = None;
        if let Some(permit) = permit.filter(|_| asked.is_any) {
            view.pool(place).leave(permit, answered.is_success());
        }
        if view.pool(place).queue.is_some() {
            // Its endpoint has room again, for which requests to the same pool may wait.
            view.pool(place).waiting.call();
        }
        client.worker.stats.borrow_mut().forward_auth(match answered {
            Answered::Passed(_) => Outcome::Passed,
            Answered::Denied(_) => Outcome::Denied,
            Answered::Failed => Outcome::Failed,
        });
        answered
    }

    /// *Pick* and one exchange; again if that failed and the pool's retry policy and budget have it so, but without a
    /// pause: somebody waits to be let in.
    async fn tries(
        &self,
        client: &mut Client,
        (view, place): (&Rc<View>, usize),
        client_ip: IpAddr,
        asked: &mut Asked,
    ) -> Result<Answered, Failure> {
        let pool = view.pool(place);
        let key = Some(HashKey::of_address(client_ip));
        let (mut tried, mut is_stale): (Vec<EndpointId>, bool) = (Vec::new(), false);
        view.budget(place).borrow_mut().deposit(client.worker.now());
        loop {
            let now = client.worker.now();
            let ask = Ask { key, tried: &tried, now };
            let lease = by_balancer(&mut view.picker(place).borrow_mut(), ask)?;
            asked.is_any = true;
            let lease = &*asked.lease.insert(lease);
            let endpoint = lease.endpoint();
            let outcome = self.exchange(client, (view, place), lease, is_stale).await;
            let (answer, lost) = match outcome {
                Ok((status, answered)) => {
                    observe(client, pool, lease, (status, now));
                    if !pool.retry.retries_status(status) {
                        return Ok(answered);
                    }
                    let lost = Lost::to(Cause::Status(status), Failure::UpstreamStatus);
                    (Ok(answered), Lost { is_sent: true, ..lost })
                }
                Err(lost) => {
                    if lost.was_reused {
                        // Its endpoint may only have closed it, which says nothing.
                        client.worker.stats.borrow_mut().endpoint_failure(endpoint.id().0, lost.failure);
                    } else {
                        failed(client, pool, lease, lost.failure);
                    }
                    (Err(lost.failure), lost)
                }
            };
            tried.push(endpoint.id());
            asked.lease = None;
            is_stale = lost.was_reused && lost.cause == Some(Cause::Reset);
            if !may_try_again(client, (view, place), &tried, &lost) {
                return answer;
            }
        }
    }

    /// *Connect*, *forward* and *settle* with one endpoint; the answer's status, and what it means.
    async fn exchange(
        &self,
        client: &mut Client,
        (view, place): (&View, usize),
        lease: &Lease,
        wants_new: bool,
    ) -> Result<(u16, Answered), Lost> {
        let (pool, endpoint) = (view.pool(place), lease.endpoint());
        let terms = Terms::of(client, view, pool, endpoint);
        let connected = connection(client, pool, (endpoint, terms), wants_new).await;
        lease.connected();
        let mut upstream = connected?;
        let worker = &client.worker;
        let lost = |failure, upstream: &Upstream| match failure {
            Failure::UpstreamClosed => lost_on(upstream, true),
            _ => Lost::for_good(failure),
        };
        let mut head = worker.buffers.text();
        // Writing to memory does not fail.
        let _ = write!(head, "GET {} HTTP/1.1\r\nHost: {}\r\n", self.forward.path, endpoint.address());
        head.extend_from_slice(&self.fields);
        send(&mut upstream, &head).await.map_err(|failure| lost(failure, &upstream))?;
        drop(head);
        let answering = self.answering(worker, &mut upstream).await;
        let (mut answering, mut buffer) = answering.map_err(|failure| lost(failure, &upstream))?;
        answering.body = upstream.stream.reader(answering.body);
        worker.stats.borrow_mut().endpoint_answered(endpoint.id().0, answering.status);
        buffer.consume(answering.length);
        let body = body(worker, &mut upstream, &mut answering, buffer).await.map_err(Lost::for_good)?;
        if answering.keep_alive && body.is_clean {
            worker.idle.keep(upstream, pool, worker.now());
        } else if body.is_whole {
            part(upstream.stream);
        }
        let Answering { status, fields, .. } = answering;
        match (status, body.is_whole) {
            (200..300, _) => Ok((status, Answered::Passed(fields))),
            (_, true) => Ok((status, Answered::Denied(Denial { status, fields, body: body.text }))),
            (_, false) => Err(Lost::for_good(Failure::ResponseBad)),
        }
    }

    /// Reads the answer's head; interim ones are passed over.
    async fn answering(
        &self,
        worker: &Rc<Worker>,
        upstream: &mut Upstream,
    ) -> Result<(Answering, Buffer), Failure> {
        let mut buffer = worker.buffers.lend();
        loop {
            if !buffer.is_empty()
                && let Some(answering) = self.read(worker, &buffer)?
            {
                if answering.status >= 200 {
                    return Ok((answering, buffer));
                }
                buffer.consume(answering.length);
                continue;
            }
            buffer.compact();
            if buffer.room().is_empty() {
                return Err(Failure::ResponseBad);
            }
            match poll_fn(|cx| io::poll_read_into(&mut upstream.stream, cx, &mut buffer)).await {
                Ok(n) if n > 0 => {}
                _ if buffer.is_empty() => return Err(Failure::UpstreamClosed),
                _ => return Err(Failure::UpstreamTruncated),
            }
        }
    }

    /// Apart, because a parsed head takes 13 KiB of stack, which must not become part of a connection's state.
    fn read(&self, worker: &Rc<Worker>, buffer: &Buffer) -> Result<Option<Answering>, Failure> {
        let mut slots = Slots::new();
        let head = match parse_response(buffer, &LIMITS, "GET", &mut slots) {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(None),
            Err(_) => return Err(Failure::ResponseBad),
        };
        if head.status == 101 {
            return Err(Failure::ResponseBad);
        }
        let passes = (200..300).contains(&head.status);
        let mut fields = worker.buffers.text();
        head.copy_fields(&mut fields, |field| match field.kind {
            _ if field.hop => false,
            FieldKind::ContentLength => false,
            // The client gets Evenly's.
            FieldKind::Date if !passes => false,
            _ => !passes || self.forward.passes_on(&field.name),
        });
        Ok(Some(Answering {
            status: head.status,
            fields,
            length: head.length,
            body: BodyReader::from(head.body),
            keep_alive: head.keep_alive,
        }))
    }
}

/// Whether another try follows; if so it is paid for.
fn may_try_again(client: &Client, (view, place): (&View, usize), tried: &[EndpointId], lost: &Lost) -> bool {
    let Some(cause) = lost.cause else { return false };
    let (pool, now) = (view.pool(place), client.worker.now());
    let failed = Try {
        number: u32::try_from(tried.len()).unwrap_or(u32::MAX),
        cause,
        is_sent: lost.is_sent,
        is_idempotent: true,
        is_repeatable: true,
        is_elsewhere: view.picker(place).borrow_mut().has_another(tried, now),
        was_reused: lost.was_reused,
        retry_after: None,
        pushback: None,
    };
    // There is no time for a pause: the only endpoint is asked once more if all that is known is that it hung up.
    if !(failed.is_elsewhere || failed.number == 1 && cause == Cause::Reset) {
        return false;
    }
    let Ok(price) = pool.retry.judge(&failed) else { return false };
    let mut stats = client.worker.stats.borrow_mut();
    if price == Price::Retry && !view.budget(place).borrow_mut().withdraw(now) {
        stats.retry_refused(pool.id.0);
        return false;
    }
    stats.retried(pool.id.0, cause);
    true
}

/// An answer has come: tells outlier detection, the endpoint's circuit breaker and the balancer that learns from latency.
fn observe(client: &Client, pool: &Pool, lease: &Lease, (status, began): (u16, Nanos)) {
    let now = client.worker.now();
    let nanos = now.saturating_sub(began);
    pool.observe(lease, Observed::of_status(status), nanos);
    pool.observe_latency(lease.endpoint(), Observed::of_status(status), nanos, || now);
}

/// Nothing came of a try: counts it, and tells the same.
fn failed(client: &Client, pool: &Pool, lease: &Lease, failure: Failure) {
    let endpoint = lease.endpoint();
    client.worker.stats.borrow_mut().endpoint_failure(endpoint.id().0, failure);
    if failure.side() == Side::Upstream {
        pool.observe(lease, Observed::LocalOriginFailure, 0);
        let now = || client.worker.now();
        pool.observe_latency(endpoint, Observed::LocalOriginFailure, 0, now);
    }
}

/// An idle connection, or a new one.
async fn connection(
    client: &mut Client,
    pool: &Arc<Pool>,
    (endpoint, terms): (&Endpoint, Terms),
    wants_new: bool,
) -> Result<Upstream, Lost> {
    if !wants_new && let Some(upstream) = idle(client, endpoint, &terms) {
        return Ok(upstream);
    }
    let due = client.deadline.at(Duration::from_millis(pool.timeouts.connect_ms));
    // What the client sends meanwhile may be its body, so it is left alone.
    open(client, (pool, endpoint), terms, due, false).await
}

async fn send(upstream: &mut Upstream, bytes: &[u8]) -> Result<(), Failure> {
    let mut sent = 0;
    while sent < bytes.len() {
        let wrote = poll_fn(|cx| match io::poll_write(&mut upstream.stream, cx, &bytes[sent..]) {
            Poll::Ready(Ok(n)) if n > 0 => Poll::Ready(Ok(n)),
            Poll::Ready(_) => Poll::Ready(Err(Failure::UpstreamClosed)),
            Poll::Pending => Poll::Pending,
        });
        sent += wrote.await?;
    }
    Ok(())
}

/// An answer's body.
struct Body {
    text: Text,
    /// Whether it ended within the bound.
    is_whole: bool,
    /// Whether nothing came behind it, so that the connection can be used again.
    is_clean: bool,
}

/// Reads the body, up to the bound.
async fn body(
    worker: &Rc<Worker>,
    upstream: &mut Upstream,
    answering: &mut Answering,
    mut buffer: Buffer,
) -> Result<Body, Failure> {
    let mut text = worker.buffers.text();
    loop {
        buffer.compact();
        let taken = answering.body.take(&mut buffer).map_err(|_| Failure::ResponseBad)?;
        text.extend_from_slice(&buffer[..taken.data]);
        if taken.done {
            let is_clean = taken.consumed == buffer.len();
            return Ok(Body { is_whole: text.len() <= BODY_BYTES, text, is_clean });
        }
        if text.len() > BODY_BYTES {
            return Ok(Body { text, is_whole: false, is_clean: false });
        }
        buffer.consume(taken.consumed);
        buffer.compact();
        match poll_fn(|cx| io::poll_read_into(&mut upstream.stream, cx, &mut buffer)).await {
            Ok(n) if n > 0 => {}
            Ok(_) if answering.body.on_eof().is_ok() => {
                return Ok(Body { text, is_whole: true, is_clean: false });
            }
            _ => return Err(Failure::UpstreamTruncated),
        }
    }
}
