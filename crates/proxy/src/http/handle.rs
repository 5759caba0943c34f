//! The steps of a request, in their order. Each is short here and done elsewhere.

use super::answer::{Answer, Manner, write_all};
use super::client::Client;
use super::connect::{Lost, connect};
use super::exchange::Exchange;
use super::fault::inject;
use super::mirror;
use super::plan::{Plan, Planned, plan, refuse};
use super::record::{record, record_answer};
use super::relay::relay;
use super::retry;
use super::settle::{Response, Settled, settle};
use super::upgrade::tunnel;
use super::upload;
use super::wait::{more_head, response_head};
use crate::pump::{Course, Pace, Patience, Pump};
use crate::upstream::Upstream;
use crate::worker::buffers::Buffer;
use evenly_core::error::{Failure, Side};
use evenly_core::pool::Lease;
use evenly_http1::BodyReader;
use std::time::Instant;

/// Bodies up to this size are copied behind their head and sent with it: below it, copying costs less than a second
/// piece to send.
pub const INLINE_BYTES: usize = 16 * 1024;

/// What follows a request.
pub enum Next {
    /// The head in the buffer is not complete.
    MoreHead(Buffer),
    /// The next request.
    Request,
    /// The connection's end.
    Close,
    /// The connection's end, with a client that may still be sending.
    Linger,
    /// The connection's end, to be seen as an error.
    Abort,
}

/// Takes one request through the steps, from the first bytes of its head in `input`.
pub async fn handle(client: &mut Client, input: Buffer) -> Next {
    let Some(view) = client.worker.view_of(client.bind) else { return Next::Close };
    match plan(client, &view, &input) {
        Plan::MoreHead => Next::MoreHead(input),
        Plan::Answer(planned) => say(client, *planned, Some(input)).await,
        Plan::Forward(mut exchange) => {
            let next = forward(client, &mut exchange, input).await;
            record(client, &mut exchange);
            next
        }
    }
}

/// Answers a request whose head did not come in time.
pub async fn refuse_late(client: &mut Client) -> Next {
    let view = client.worker.pin();
    let planned = refuse(client, &view, Instant::now(), Failure::RequestTimeout);
    say(client, planned, None).await
}

/// Sends an answer of Evenly's own.
async fn say(client: &mut Client, planned: Planned, input: Option<Buffer>) -> Next {
    let Planned { answer, mut tally, route, request_length } = planned;
    tally.status = answer.status;
    let sent = answer.send(client).await;
    tally.bytes_out = sent.bytes;
    tally.failure = tally.failure.or(sent.failure);
    record_answer(client, route.as_deref(), &mut tally);
    if sent.failure.is_some() {
        return Next::Abort;
    }
    match (input, request_length) {
        (Some(mut input), Some(length)) if answer.keep_alive => {
            input.consume(length);
            client.carry = (!input.is_empty()).then_some(input);
            Next::Request
        }
        _ => Next::Linger,
    }
}

/// *Pick*, *connect*, *forward* and what follows; again if that failed and the retry policy has it so.
async fn forward(client: &mut Client, exchange: &mut Exchange, input: Buffer) -> Next {
    let mut upload = match upload::begin(client, exchange, input) {
        Ok(upload) => upload,
        Err(failure) => return fail(client, exchange, failure, false).await,
    };
    if let Some(fault) = exchange.fault.take() {
        let is_read = upload.is_none();
        if let Err((failure, status)) = Box::pin(inject(client, exchange, *fault, is_read)).await {
            return fail_as(client, exchange, failure, status, is_read).await;
        }
    }
    mirror::begin(exchange, upload.is_none());
    exchange.due = exchange.request_timeout().map_or(u64::MAX, |whole| client.deadline.at(whole));
    loop {
        let lease = match pick(client, exchange) {
            Ok(lease) => lease,
            Err(failure) => return fail(client, exchange, failure, upload.is_none()).await,
        };
        let endpoint = lease.endpoint();
        exchange.tally.endpoint = Some((endpoint.id(), endpoint.address()));
        let outcome = match connect(client, exchange, endpoint, upload.is_none()).await {
            Ok(upstream) => attempt(client, exchange, &mut upload, upstream, &lease).await,
            Err(now) => Err(now),
        };
        let lost = match outcome {
            Ok(next) => return next,
            Err(lost) => lost,
        };
        if lost.failure.side() == Side::Upstream {
            client.worker.stats.borrow_mut().endpoint_failure(endpoint.id().0, lost.failure);
        }
        drop(lease);
        // Boxed: what a retry needs would otherwise make every idle connection larger.
        if let Err(failure) = Box::pin(retry::again(client, exchange, &mut upload, lost)).await {
            return fail(client, exchange, failure, upload.is_none()).await;
        }
    }
}

/// *Pick*: asks the pool's balancer, after a failure for another endpoint.
fn pick(client: &Client, exchange: &Exchange) -> Result<Lease, Failure> {
    if let Some(failed) = exchange.tally.tries.failed() {
        return retry::pick_another(client, exchange, failed);
    }
    let now = client.worker.nanos(exchange.tally.started);
    exchange.view.budget(exchange.pool).borrow_mut().deposit(now);
    Ok(exchange.view.picker(exchange.pool).borrow_mut().pick(exchange.key, None, now)?)
}

/// *Forward*, *settle* and *relay* on one connection. An error means that the client got nothing of a response yet.
async fn attempt(
    client: &mut Client,
    exchange: &mut Exchange,
    upload: &mut Option<Box<Pump>>,
    mut upstream: Upstream,
    lease: &Lease,
) -> Result<Next, Lost> {
    upload::send(client, exchange, upload, &mut upstream).await?;
    let mut buffer = response_head(client, exchange, upload, &mut upstream).await?;
    loop {
        match settle(client, exchange, &buffer, upload.as_deref()) {
            Settled::MoreHead => more_head(client, exchange, upload, &mut upstream, &mut buffer).await?,
            Settled::Interim(text, length) => {
                exchange.awaits_continue = false;
                exchange.can_repeat = false;
                if let Some(failure) = write_all(client, &text).await.failure {
                    exchange.tally.failure = Some(failure);
                    return Ok(Next::Abort);
                }
                buffer.consume(length);
                if buffer.is_empty() {
                    drop(buffer);
                    buffer = response_head(client, exchange, upload, &mut upstream).await?;
                }
            }
            Settled::Switch(text, length) => {
                buffer.consume(length);
                exchange.tally.arrived(Instant::now());
                // Boxed: a tunnel's state would otherwise make every idle connection larger.
                return Ok(Box::pin(tunnel(client, exchange, upstream, text, buffer)).await);
            }
            Settled::Final(response) => {
                exchange.tally.arrived(Instant::now());
                exchange.observe(&client.worker, lease);
                return respond(client, exchange, upload, upstream, response, buffer).await;
            }
            Settled::Again(is_whole) => {
                if is_whole {
                    client.worker.idle.keep(upstream, exchange.pool(), Instant::now());
                }
                return Err(Lost { is_settled: true, ..Lost::for_good(Failure::UpstreamStatus) });
            }
            Settled::Bad(failure) => return Err(Lost::for_good(failure)),
        }
    }
}

/// *Relay*: the response's head and body, small ones at once, others as they come.
async fn respond(
    client: &mut Client,
    exchange: &mut Exchange,
    upload: &mut Option<Box<Pump>>,
    mut upstream: Upstream,
    mut response: Response,
    mut buffer: Buffer,
) -> Result<Next, Lost> {
    buffer.consume(response.length);
    let (sent, excess) = match whole_body(&response, &buffer) {
        Some(length) if upload.is_none() => {
            response.text.extend_from_slice(&buffer[..length]);
            mirror::answered(exchange, &buffer[..length]);
            let excess = buffer.len() > length;
            drop(buffer);
            let sent = write_all(client, &response.text).await;
            exchange.tally.bytes_out += sent.bytes;
            (sent.failure.map_or(Ok(()), Err), excess)
        }
        _ => {
            let mut pump = Pump::new(
                Some(response.text),
                download(client, exchange, &response.body, response.is_chunked),
            );
            mirror::watch(exchange, &mut pump);
            pump.take(buffer).map_err(|_| Lost::for_good(Failure::ResponseBad))?;
            let sent = relay(client, exchange, &mut upstream, &mut pump, upload).await;
            exchange.tally.bytes_out += pump.written;
            if sent.is_ok() {
                mirror::relayed(exchange, &pump);
            }
            (sent, pump.excess.is_some())
        }
    };
    if let Err(failure) = sent {
        exchange.tally.failure = Some(failure);
        return Ok(Next::Abort);
    }
    let now = Instant::now();
    exchange.tally.ended = Some(now);
    let is_sent = upload.is_none() && !exchange.is_cut;
    if response.keep_upstream && is_sent && !excess {
        client.worker.idle.keep(upstream, exchange.pool(), now);
    }
    Ok(match (response.keep_client, is_sent) {
        (true, true) => Next::Request,
        (false, true) if client.may_have_more() || exchange.keep_alive => Next::Linger,
        (false, true) => Next::Close,
        (_, false) => Next::Linger,
    })
}

/// The body's length, if all of it is in the buffer, small, and need not be framed anew.
fn whole_body(response: &Response, buffer: &Buffer) -> Option<usize> {
    let length = match response.body {
        BodyReader::Done => 0,
        BodyReader::Length { left } => usize::try_from(left).ok()?,
        BodyReader::Chunked(_) | BodyReader::UntilClose => return None,
    };
    (length <= buffer.len().min(INLINE_BYTES)).then_some(length)
}

/// How a response's body is pumped.
fn download(client: &Client, exchange: &Exchange, body: &BodyReader, chunked: bool) -> Course {
    let pace = Pace::new(Patience::idle(exchange.idle_timeout()), client.patience_for_taking());
    Course { body: *body, chunked, limit: u64::MAX, pace }
}

/// Answers with the failure's page, if the client is still there. `is_read`: all of the request was taken in.
async fn fail(client: &mut Client, exchange: &mut Exchange, failure: Failure, is_read: bool) -> Next {
    fail_as(client, exchange, failure, failure.status(), is_read).await
}

/// As `fail`, with a status that is not the failure's own.
async fn fail_as(
    client: &mut Client,
    exchange: &mut Exchange,
    failure: Failure,
    status: u16,
    is_read: bool,
) -> Next {
    exchange.tally.failure = Some(failure);
    exchange.tally.status = status;
    if matches!(failure, Failure::ClientGone) {
        return Next::Close;
    }
    let keep_alive = exchange.keep_alive && is_read && !exchange.is_cut;
    let is_head = exchange.method == super::exchange::Method::Head;
    let manner = Manner { is_head, keep_alive, version: exchange.version };
    let answer = Answer::failure_as(client, &exchange.view.snapshot.error_pages, failure, status, &manner);
    let sent = answer.send(client).await;
    exchange.tally.bytes_out += sent.bytes;
    match sent.failure {
        Some(_) => Next::Abort,
        None if answer.keep_alive => Next::Request,
        None => Next::Linger,
    }
}
