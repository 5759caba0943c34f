//! *Forward*, second half: the request's body, and sending.

use super::client::Client;
use super::connect::{Lost, lost_on};
use super::exchange::{Exchange, Method};
use super::handle::INLINE_BYTES;
use super::kept::Kept;
use super::mirror;
use super::trailers::Trailers;
use crate::io;
use crate::pump::{Course, Pace, Patience, Pump};
use crate::stream::Stream;
use crate::upstream::Upstream;
use crate::worker::buffers::{Buffer, Text};
use evenly_core::error::Failure;
use evenly_core::pool::EndpointId;
use evenly_core::retry::Cause;
use evenly_http1::BodyReader;
use std::future::poll_fn;
use std::io::Write;
use std::net::SocketAddr;
use std::ops::Range;
use std::task::Poll;
use std::time::Duration;

/// Takes the body's beginning out of the buffer that the head came in. A small body that is all there goes behind the
/// head, so that both can be sent at once, and again; for any other the pump is returned that will bring it.
///
/// # Errors
/// The body's framing is wrong or it is too large.
pub fn begin(
    client: &mut Client,
    exchange: &mut Exchange,
    mut input: Buffer,
) -> Result<Option<Box<Pump>>, Failure> {
    exchange.tally.bytes_in = exchange.head_length as u64;
    input.consume(exchange.head_length);
    if exchange.body.is_done() {
        client.carry = (!input.is_empty()).then_some(input);
        return Ok(None);
    }
    if let BodyReader::Length { left } = exchange.body
        && let Ok(length) = usize::try_from(left)
        && length <= input.len().min(INLINE_BYTES)
    {
        exchange.head.extend_from_slice(&input[..length]);
        exchange.tally.bytes_in += left;
        input.consume(length);
        client.carry = (!input.is_empty()).then_some(input);
        return Ok(None);
    }
    // Boxed: a request with a large body can afford that, and an idle connection cannot afford the room.
    let mut pump = Box::new(Pump::unframed(course(client, exchange)));
    pump.keep(kept_bytes(exchange));
    pump.tee = mirror::tee(exchange);
    let is_framed = client.stream.frames_messages() && exchange.pool().http2.is_some();
    pump.trailers = (is_framed || exchange.gives_trailers).then(|| Trailers::of_request(exchange));
    if !input.is_empty() {
        pump.take(input).map_err(|broken| broken.of_request())?;
    }
    Ok(Some(pump))
}

/// Bytes of the request to keep in case it has to be sent again; 0 if it never is, or is known to be larger.
fn kept_bytes(exchange: &Exchange) -> usize {
    // An endpoint may say by HTTP/2 that it has not looked at a request: then any is sent again.
    let may_repeat = exchange.method.is_idempotent() || exchange.pool().http2.is_some();
    let most = exchange.retry().kept_bytes(may_repeat);
    let is_larger = matches!(exchange.body, BodyReader::Length { left } if left > most);
    if is_larger { 0 } else { usize::try_from(most).unwrap_or(usize::MAX) }
}

/// How the request's body is pumped. Whether it is framed depends on the endpoint, which is yet to be found.
fn course(client: &Client, exchange: &Exchange) -> Course {
    let (timeouts, limits) = (&client.listener.timeouts, &client.listener.limits);
    // A client that waits for 100 sends nothing until the endpoint has spoken.
    let held_back = if exchange.awaits_continue { exchange.response_timeout() } else { Duration::ZERO };
    if exchange.tally.call.is_some() {
        // Its messages come when there is something to say; see `relay`.
        let pace =
            Pace::new(Patience::idle(exchange.idle_timeout()), Patience::idle(exchange.idle_timeout()));
        return Course { body: exchange.body, chunked: false, limit: exchange.body_limit, pace };
    }
    let source = Patience::paced(
        timeouts.body + held_back,
        limits.min_rate,
        Duration::from_millis(limits.min_rate_grace_ms) + held_back,
    );
    let pace = Pace::new(source, Patience::idle(exchange.idle_timeout()));
    Course { body: exchange.body, chunked: false, limit: exchange.body_limit, pace }
}

/// Sends the head and a small body, or hands the head to the pump that brings the body.
pub async fn send(
    client: &mut Client,
    exchange: &mut Exchange,
    upload: &mut Option<Box<Pump>>,
    upstream: &mut Upstream,
) -> Result<(), Lost> {
    put_host(exchange, upstream.endpoint);
    let chunked = exchange.is_chunked && !upstream.stream.frames_messages();
    let mut trailers: Box<[u8]> = Box::default();
    if exchange.kept != Kept::Nothing {
        let reframed = exchange.kept.reframe(&mut exchange.head, chunked, upload.is_none());
        trailers = reframed.map_err(Lost::for_good)?.into();
    }
    if let Some(pump) = upload {
        let is_framed = client.stream.frames_messages() && upstream.stream.frames_messages();
        if let Some(trailers) = &mut pump.trailers {
            trailers.is_taken = is_framed || exchange.gives_trailers;
        }
        if let (Stream::H2(sink), true) = (&mut upstream.stream, client.stream.frames_messages()) {
            sink.hold_end();
        }
        let empty = client.worker.buffers.text();
        pump.lead(std::mem::replace(&mut exchange.head, empty), chunked);
        return Ok(());
    }
    let mut sent = 0;
    let mut due = None;
    let whole = exchange.head.len();
    while sent < whole {
        let wrote = poll_fn(|cx| match io::poll_write(&mut upstream.stream, cx, &exchange.head[sent..]) {
            Poll::Ready(Ok(n)) if n > 0 => Poll::Ready(Ok(n)),
            Poll::Ready(_) => Poll::Ready(Err(None)),
            Poll::Pending => {
                let idle = || client.deadline.at(exchange.idle_timeout()).min(exchange.due);
                let due = *due.get_or_insert_with(idle);
                client.deadline.set_at(due);
                if client.deadline.is_past(due) {
                    Poll::Ready(Err(Some((Cause::Timeout, Failure::ResponseTimeout))))
                } else {
                    Poll::Pending
                }
            }
        });
        match wrote.await {
            Ok(n) => sent += n,
            Err(None) => return Err(lost_on(upstream, sent > 0)),
            Err(Some((cause, failure))) => {
                let lost = Lost::to(cause, failure);
                return Err(Lost { is_sent: sent > 0, was_reused: upstream.reused, ..lost });
            }
        }
    }
    let is_tunnel = exchange.wants_upgrade || exchange.method == Method::Connect;
    if !is_tunnel {
        // A body that is sent again is all there, however long its head says that it is.
        match &mut upstream.stream {
            Stream::H2(stream) if !trailers.is_empty() => {
                stream.finish(Some(&trailers));
                // They are not kept.
                exchange.can_repeat = false;
            }
            stream => stream.finish(),
        }
    }
    Ok(())
}

/// Puts the endpoint's address where the request's `Host` belongs, in place of that of an endpoint tried before.
pub fn put_host(exchange: &mut Exchange, endpoint: EndpointId) {
    let Some(at) = exchange.host_at.clone() else { return };
    let Some((_, address)) = exchange.tally.endpoint.filter(|(id, _)| *id == endpoint) else {
        return;
    };
    exchange.host_at = Some(write_host(&mut exchange.head, at, address));
}

/// Puts an endpoint's address where a head's `Host` belongs; where it stands then.
pub fn write_host(head: &mut Text, at: Range<usize>, address: SocketAddr) -> Range<usize> {
    let mut line = Vec::with_capacity(64);
    // Writing to memory does not fail.
    let _ = write!(line, "Host: {address}\r\n");
    let now = at.start..at.start + line.len();
    if head.get(at.clone()).is_some() {
        head.splice(at, line);
    }
    now
}
