//! Forward-auth: asks a service whether a request may pass.
//!
//! The question is a request without a body, over the same pools, balancers and idle connections as everything else. It
//! is sent once more if an idle connection turns out to be stale, or another endpoint may be reached.

use super::super::answer::{Answer, Manner};
use super::super::client::Client;
use super::super::request::{Rendering, forwarding};
use crate::io;
use crate::metrics::ForwardAuth as Outcome;
use crate::upstream::{Upstream, dial};
use crate::worker::Worker;
use crate::worker::buffers::{Buffer, READ_BYTES, Text};
use crate::worker::view::View;
use evenly_core::access::ForwardAuth;
use evenly_core::document::Balance;
use evenly_core::error::Failure;
use evenly_core::hash_key::HashKey;
use evenly_core::pool::{Endpoint, EndpointId, Lease};
use evenly_http1::{BodyReader, FieldKind, HeadLimits, MAX_FIELDS, Slots, parse_response};
use std::future::poll_fn;
use std::io::Write;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

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
            FieldKind::XForwardedProto | FieldKind::XForwardedHost | FieldKind::Forwarded => {
                client.is_trusted
            }
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
    pub async fn ask(self, worker: &Rc<Worker>, view: &Rc<View>, client_ip: IpAddr) -> Answered {
        let asking = self.attempts(worker, view, client_ip);
        let answered = match tokio::time::timeout(self.forward.timeout, asking).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) | Err(_) => Answered::Failed,
        };
        worker.stats.borrow_mut().forward_auth(match answered {
            Answered::Passed(_) => Outcome::Passed,
            Answered::Denied(_) => Outcome::Denied,
            Answered::Failed => Outcome::Failed,
        });
        answered
    }

    /// *Pick* and one exchange; once more if nothing came of the first.
    async fn attempts(
        &self,
        worker: &Rc<Worker>,
        view: &Rc<View>,
        client_ip: IpAddr,
    ) -> Result<Answered, Failure> {
        let place = self.forward.pool.0 as usize;
        let mut lost: Option<EndpointId> = None;
        loop {
            let began = Instant::now();
            let lease = self.pick(worker, view, client_ip, lost)?;
            let endpoint = lease.endpoint();
            match self.exchange(worker, view, &lease, lost.is_some()).await {
                Ok(answered) => {
                    if view.pool(place).balance == Balance::PeakEwma {
                        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
                        endpoint.observe_latency(nanos, worker.nanos(began) + nanos);
                    }
                    return Ok(answered);
                }
                Err(failure) => {
                    worker.stats.borrow_mut().endpoint_failure(endpoint.id().0, failure);
                    let may_repeat = matches!(failure, Failure::ConnectFailed | Failure::UpstreamClosed);
                    if lost.is_some() || !may_repeat {
                        return Err(failure);
                    }
                    lost = Some(endpoint.id());
                }
            }
        }
    }

    fn pick(
        &self,
        worker: &Worker,
        view: &View,
        client_ip: IpAddr,
        lost: Option<EndpointId>,
    ) -> Result<Lease, Failure> {
        let (key, now) = (Some(HashKey::of_address(client_ip)), worker.nanos(Instant::now()));
        let mut picker = view.picker(self.forward.pool.0 as usize).borrow_mut();
        let picked = picker.pick(key, lost, now);
        // The only endpoint there is may be asked again: the first connection may have been stale.
        picked.or_else(|_| picker.pick(key, None, now)).map_err(Failure::from)
    }

    /// *Connect*, *forward* and *settle* with one endpoint.
    async fn exchange(
        &self,
        worker: &Rc<Worker>,
        view: &Rc<View>,
        lease: &Lease,
        wants_new: bool,
    ) -> Result<Answered, Failure> {
        let endpoint = lease.endpoint();
        let mut upstream = connection(worker, endpoint, wants_new).await?;
        let mut head = worker.buffers.text();
        // Writing to memory does not fail.
        let _ = write!(head, "GET {} HTTP/1.1\r\nHost: {}\r\n", self.forward.path, endpoint.address());
        head.extend_from_slice(&self.fields);
        send(&mut upstream, &head).await?;
        drop(head);
        let (mut answering, mut buffer) = self.answering(worker, &mut upstream).await?;
        worker.stats.borrow_mut().endpoint_answered(endpoint.id().0, answering.status);
        buffer.consume(answering.length);
        let body = body(worker, &mut upstream, &mut answering, buffer).await?;
        if answering.keep_alive && body.is_clean {
            let pool = view.pool(self.forward.pool.0 as usize);
            worker.idle.keep(upstream, pool, Instant::now());
        }
        let Answering { status, fields, .. } = answering;
        match (status, body.is_whole) {
            (200..300, _) => Ok(Answered::Passed(fields)),
            (_, true) => Ok(Answered::Denied(Denial { status, fields, body: body.text })),
            (_, false) => Err(Failure::ResponseBad),
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

/// An idle connection, or a new one.
async fn connection(worker: &Rc<Worker>, endpoint: &Endpoint, wants_new: bool) -> Result<Upstream, Failure> {
    if !wants_new && let Some(upstream) = worker.idle.take(endpoint, None) {
        worker.stats.borrow_mut().upstream_reused(endpoint.id().0);
        return Ok(upstream);
    }
    let upstream = dial(endpoint, &worker.idle).await.map_err(|_| Failure::ConnectFailed)?;
    worker.stats.borrow_mut().upstream_opened(endpoint.id().0);
    Ok(upstream)
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
