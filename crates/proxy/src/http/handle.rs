//! The steps of a request, in their order. Each is short here and done elsewhere.

use super::admit::ask;
use super::answer::{Answer, Manner, write_all};
use super::bond::pick_for;
use super::client::Client;
use super::compress::count;
use super::connect::{Lost, connect};
use super::early;
use super::exchange::Exchange;
use super::fault::inject;
use super::grpc;
use super::h2::VERSION as H2_VERSION;
use super::handlers::Desk;
use super::hedge;
use super::mirror;
use super::plan::{Plan, Planned, plan, refuse};
use super::queue;
use super::record::{record, record_answer};
use super::relay::relay;
use super::retry;
use super::settle::{Response, Settled, settle};
use super::trailers::Trailers;
use super::upgrade::{self, Tunnel};
use super::upload;
use super::wait::{more_head, response_head};
use crate::pump::{Course, Pace, Patience, Pump};
use crate::stream::Stream;
use crate::upstream::{Upstream, part};
use crate::worker::buffers::Buffer;
use evenly_core::affinity::Ask;
use evenly_core::error::{Failure, Side};
use evenly_core::outlier::Outcome;
use evenly_core::pool::Lease;
use evenly_http1::BodyReader;
use std::pin::pin;
use std::rc::Rc;

/// Bodies up to this size are copied behind their head and sent with it: below it, copying costs less than a second
/// piece to send.
pub const INLINE_BYTES: usize = 16 * 1024;

/// Interim responses that may come before the final one: one a second of a long response's progress is more than anybody
/// sends, and without an end they would keep a connection as busy as the endpoint likes.
const MOST_INTERIMS: u32 = 1_000;

/// What follows a request.
pub enum Next {
    /// The head in the buffer is not complete.
    MoreHead(Buffer),
    /// The next request.
    Request,
    /// No request any more, but bytes both ways. It is not recorded yet.
    Tunnel(Box<Tunnel>),
    /// The connection's end.
    Close,
    /// The connection's end, with a client that may still be sending.
    Linger,
    /// The connection's end, to be seen as an error.
    Abort,
}

/// Takes requests through the steps, one after another, each from the first bytes of its head. For ever; where the
/// requests come from and what follows them is on the `desk`.
pub async fn serve(desk: Rc<Desk>) {
    loop {
        let (mut client, mut input) = desk.next().await;
        // Not a function of its own: its state would be copied here for each request.
        let next = match client.pin() {
            None => Next::Close,
            Some(view) => {
                let mut known = None;
                loop {
                    match plan(&mut client, &view, &input, known.as_deref()) {
                        Plan::MoreHead => break Next::MoreHead(input),
                        Plan::Answer(mut planned) => break say(&mut client, &mut planned, Some(input)).await,
                        // Boxed, for their size and because they are rare.
                        Plan::Hold => {
                            if let Err(next) = Box::pin(early::hold(&mut client, &mut input)).await {
                                break next;
                            }
                        }
                        Plan::Ask(question, address) => {
                            known = Some(Box::pin(ask(&mut client, &view, *question, address)).await);
                        }
                        // Used where it is: it is large.
                        Plan::Forward(ref mut exchange) => {
                            drop(known);
                            // Pinned where it is made: `await` alone would move it first, and it is larger still.
                            let next = pin!(forward(&mut client, exchange, input)).await;
                            if !matches!(next, Next::Tunnel(_)) {
                                exchange.make_room();
                                record(&client, exchange);
                            }
                            break next;
                        }
                    }
                }
            }
        };
        desk.done(client, next);
    }
}

/// Answers a request whose head nobody has read: it did not come in time, or is too large.
pub async fn refuse_unread(client: &mut Client, failure: Failure) -> Next {
    let view = client.worker.pin();
    let mut planned = refuse(client, &view, client.worker.now(), failure);
    say(client, &mut planned, None).await
}

/// Sends an answer of Evenly's own.
async fn say(client: &mut Client, planned: &mut Planned, input: Option<Buffer>) -> Next {
    let Planned { answer, tally, route, request_length } = planned;
    answer.note(tally);
    // Before it is sent, since a client that takes nothing is to hold no buffer.
    let goes_on = match (input, request_length) {
        (Some(mut input), Some(length)) if answer.keep_alive => {
            input.consume(*length);
            client.carry = (!input.is_empty()).then_some(input);
            true
        }
        _ => false,
    };
    let sent = answer.send(client).await;
    tally.bytes_out = sent.bytes;
    tally.failure = tally.failure.or(sent.failure);
    record_answer(client, route.as_deref(), tally);
    if sent.failure.is_some() {
        return Next::Abort;
    }
    if goes_on { Next::Request } else { Next::Linger }
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
    grpc::begin(client, exchange);
    loop {
        let mut lease = match pick(client, exchange) {
            Ok(lease) => lease,
            Err(full) if full.is_full() && exchange.waits() => {
                // Boxed like the retry below.
                match Box::pin(queue::wait(client, exchange, upload.is_none())).await {
                    Ok(lease) => lease,
                    Err(failure) => return fail(client, exchange, failure, upload.is_none()).await,
                }
            }
            Err(failure) => return fail(client, exchange, failure, upload.is_none()).await,
        };
        let endpoint = lease.endpoint();
        exchange.tally.endpoint = Some((endpoint.id(), endpoint.address()));
        let outcome = if hedge::applies(exchange, upload.as_deref()) {
            // Boxed like the retry below: two of everything.
            let raced = Box::pin(hedge::race(client, exchange, lease)).await;
            lease = raced.lease;
            match raced.outcome {
                Ok((upstream, buffer)) => {
                    Box::pin(attempt(client, exchange, &mut upload, upstream, (Some(buffer), &lease))).await
                }
                Err(now) => Err(now),
            }
        } else {
            let connected = connect(client, exchange, endpoint, upload.is_none()).await;
            lease.connected();
            match connected {
                Ok(upstream) => attempt(client, exchange, &mut upload, upstream, (None, &lease)).await,
                Err(now) => Err(now),
            }
        };
        let endpoint = lease.endpoint();
        let lost = match outcome {
            Ok(Next::Tunnel(mut tunnel)) => {
                tunnel.hold(lease);
                return Next::Tunnel(tunnel);
            }
            Ok(next) => return next,
            Err(lost) => lost,
        };
        exchange.observe_failure(&client.worker, &lease, lost.failure, lost.was_reused);
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

/// *Pick*: the endpoint that the client belongs to, or one by the pool's balancer; after a failure another one.
fn pick(client: &Client, exchange: &mut Exchange) -> Result<Lease, Failure> {
    if exchange.tally.tries.failed().is_some() {
        return retry::pick_another(client, exchange);
    }
    exchange.enter(&client.worker)?;
    let now = exchange.tally.started;
    exchange.view.budget(exchange.pool).borrow_mut().deposit(now);
    if exchange.waits() && !exchange.pool().waiting.is_empty() {
        // Nobody is served before those that wait already.
        return Err(Failure::NoEndpointFull);
    }
    let ask = Ask { key: exchange.key, tried: &[], now };
    Ok(pick_for(&exchange.view, exchange.pool, &mut exchange.bond, ask)?)
}

/// What is spoken to the endpoint, where that may be HTTP/2.
fn note_protocol(exchange: &mut Exchange, upstream: &Upstream) {
    if exchange.pool().http2.is_some() {
        exchange.tally.spoken = Some(if upstream.stream.frames_messages() { H2_VERSION } else { "HTTP/1.1" });
    }
}

/// *Forward*, *settle* and *relay* on one connection, where the request may have been sent and its response begun. An
/// error means that the client got nothing of a response yet.
async fn attempt(
    client: &mut Client,
    exchange: &mut Exchange,
    upload: &mut Option<Box<Pump>>,
    mut upstream: Upstream,
    (first, lease): (Option<Buffer>, &Lease),
) -> Result<Next, Lost> {
    note_protocol(exchange, &upstream);
    let mut buffer = match first {
        None => {
            upload::send(client, exchange, upload, &mut upstream).await?;
            response_head(client, exchange, upload, &mut upstream).await?
        }
        Some(buffer) => buffer,
    };
    let mut interims = 0;
    loop {
        match settle(client, exchange, &buffer, upload.as_deref()) {
            Settled::MoreHead => more_head(client, exchange, upload, &mut upstream, &mut buffer).await?,
            Settled::Interim(..) if interims == MOST_INTERIMS => {
                return Err(Lost::for_good(Failure::ResponseBad));
            }
            Settled::Interim(text, length) => {
                interims += 1;
                (exchange.awaits_continue, exchange.can_repeat) = (false, false);
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
                exchange.tally.arrived(client.worker.now());
                exchange.observe(&client.worker, lease, Outcome::of_status(exchange.tally.status));
                // Boxed like a retry.
                return Ok(Box::pin(upgrade::open(client, exchange, upstream, text, buffer)).await);
            }
            // Used where it is, like the connection: they are large.
            Settled::Final(ref mut response) => {
                exchange.tally.arrived(client.worker.now());
                if exchange.tally.call.is_none() {
                    exchange.observe(&client.worker, lease, Outcome::of_status(exchange.tally.status));
                }
                let next = respond(client, exchange, upload, &mut upstream, response, buffer).await;
                if let Some(failure) = exchange.tally.failure
                    && !upstream.is_lost_again()
                {
                    exchange.observe_failure(&client.worker, lease, failure, false);
                }
                grpc::observe(client, exchange, &upstream, lease);
                let is_sent = upload.is_none() && !exchange.is_cut;
                let_go(client, exchange, upstream, (response.keep_upstream, is_sent));
                return next;
            }
            Settled::Again(is_whole) => {
                if is_whole {
                    client.worker.idle.keep(upstream, exchange.pool(), client.worker.now());
                }
                return Err(Lost { is_settled: true, ..Lost::for_good(Failure::UpstreamStatus) });
            }
            Settled::Bad(failure) => return Err(Lost::for_good(failure)),
        }
    }
}

/// A connection has brought its response: it is for another request, or ends in order if that was all. `is_sent`: so was all
/// of the request.
#[inline]
fn let_go(client: &Client, exchange: &Exchange, upstream: Upstream, (is_kept, is_sent): (bool, bool)) {
    match exchange.tally.ended {
        Some(now) if is_kept => client.worker.idle.keep(upstream, exchange.pool(), now),
        Some(_) if is_sent => part(upstream.stream),
        _ => {}
    }
}

/// *Relay*: the response's head and body, small ones at once, others as they come. Afterwards the response knows whether
/// the endpoint's connection can in fact be used again.
async fn respond(
    client: &mut Client,
    exchange: &mut Exchange,
    upload: &mut Option<Box<Pump>>,
    upstream: &mut Upstream,
    response: &mut Response,
    mut buffer: Buffer,
) -> Result<Next, Lost> {
    buffer.consume(response.length);
    frame(client, upstream, response, &buffer);
    let (sent, excess) = match whole_body(response, &buffer) {
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
                Some(response.text.take()),
                download(client, exchange, &response.body, response.is_chunked),
            );
            pump.stage = response.stage.take();
            let is_framed = client.stream.frames_messages() && upstream.stream.frames_messages();
            pump.trailers = (is_framed || exchange.takes_trailers).then(|| Trailers::of_response(exchange));
            mirror::watch(exchange, &mut pump);
            pump.take(buffer).map_err(|_| Lost::for_good(Failure::ResponseBad))?;
            let sent = relay(client, exchange, upstream, &mut pump, upload).await;
            exchange.tally.bytes_out += pump.written;
            if let Some(stage) = &pump.stage {
                count(client, exchange, stage);
            }
            if sent.is_ok() {
                mirror::relayed(exchange, &pump);
                grpc::ended(exchange, &pump);
            }
            (sent, pump.excess.is_some())
        }
    };
    if let Err(failure) = sent {
        exchange.tally.failure = Some(failure);
        return Ok(grpc::cut(client, exchange, failure));
    }
    exchange.tally.ended = Some(client.worker.now());
    let is_sent = upload.is_none() && !exchange.is_cut;
    response.keep_upstream &= is_sent && !excess;
    Ok(match (response.keep_client, is_sent) {
        (true, true) => Next::Request,
        (false, true) if client.may_have_more() || exchange.keep_alive => Next::Linger,
        (false, true) => Next::Close,
        (_, false) => Next::Linger,
    })
}

/// Where messages end by themselves, a response's head does not say where: either its whole body is in the buffer, or what
/// is to come has to be waited for, trailers at the last.
fn frame(client: &mut Client, upstream: &Upstream, response: &mut Response, buffer: &Buffer) {
    let Stream::H2(stream) = &upstream.stream else { return };
    response.body = match (stream.is_drained() && !response.is_chunked, buffer.len() as u64) {
        (true, 0) => BodyReader::Done,
        (true, left) => BodyReader::Length { left },
        (false, _) => BodyReader::UntilClose,
    };
    if response.body == BodyReader::UntilClose {
        client.stream.hold_end();
    }
}

/// The body's length, if all of it is in the buffer, small, and need not be framed anew.
fn whole_body(response: &Response, buffer: &Buffer) -> Option<usize> {
    let length = match response.body {
        _ if response.stage.is_some() => return None,
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
    exchange.give_up(failure);
    if matches!(failure, Failure::ClientGone) {
        return Next::Close;
    }
    let keep_alive = exchange.keep_alive && is_read && !exchange.is_cut;
    let is_head = exchange.method == super::exchange::Method::Head;
    let is_call = exchange.tally.call.is_some();
    let manner = Manner { is_head, keep_alive, version: exchange.version, is_call };
    let told = (status, exchange.retry_after(&client.worker, failure));
    let answer = Answer::failure_as(client, &exchange.view.snapshot.error_pages, told, &manner);
    answer.note(&mut exchange.tally);
    let sent = answer.send(client).await;
    exchange.tally.bytes_out += sent.bytes;
    match sent.failure {
        Some(_) => Next::Abort,
        None if answer.keep_alive => Next::Request,
        None => Next::Linger,
    }
}
