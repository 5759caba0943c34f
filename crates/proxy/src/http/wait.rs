//! Waiting for the endpoint's response head, while the request's body may still be on its way and the client may go.

use super::client::Client;
use super::connect::Lost;
use super::exchange::Exchange;
use crate::io;
use crate::pump::{Broken, Pump};
use crate::upstream::Upstream;
use crate::worker::buffers::Buffer;
use evenly_core::error::Failure;
use std::future::poll_fn;
use std::task::{Context, Poll};

/// Waits for the response's first bytes.
pub async fn response_head(
    client: &mut Client,
    exchange: &mut Exchange,
    upload: &mut Option<Box<Pump>>,
    upstream: &mut Upstream,
) -> Result<Buffer, Lost> {
    if upload.is_none() || exchange.awaits_continue {
        exchange.response_due = client.deadline.at(exchange.response_timeout());
    }
    poll_fn(|cx| {
        if let Poll::Ready(failed) = poll_upload(client, exchange, upload, upstream, cx) {
            return Poll::Ready(Err(failed));
        }
        match io::poll_read(&mut upstream.stream, cx, &client.worker.buffers) {
            Poll::Ready(Ok(buffer)) if !buffer.is_empty() => return Poll::Ready(Ok(buffer)),
            Poll::Ready(_) => {
                return Poll::Ready(Err(Lost {
                    failure: Failure::UpstreamClosed,
                    may_resend: exchange.can_repeat && exchange.method.is_idempotent(),
                    was_reused: upstream.reused,
                }));
            }
            Poll::Pending => {}
        }
        if upload.is_none() && client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Lost::for_good(Failure::ClientGone)));
        }
        if client.deadline.is_past(exchange.response_due) {
            return Poll::Ready(Err(Lost::for_good(Failure::ResponseTimeout)));
        }
        let body_due = upload.as_ref().map_or(u64::MAX, |pump| pump.due());
        client.deadline.set_at(exchange.response_due.min(body_due).min(client.gone_due()));
        Poll::Pending
    })
    .await
}

/// Moves the request's body on. Ready only when the exchange cannot go on.
fn poll_upload(
    client: &mut Client,
    exchange: &mut Exchange,
    upload: &mut Option<Box<Pump>>,
    upstream: &mut Upstream,
    cx: &mut Context<'_>,
) -> Poll<Lost> {
    let Some(pump) = upload else { return Poll::Pending };
    let (buffers, deadline) = (&client.worker.buffers, &client.deadline);
    let outcome = pump.poll(cx, (&mut client.stream, &mut upstream.stream), buffers, deadline);
    if pump.received > 0 && outcome.is_pending() {
        // As long as the body moves, its own deadlines hold.
        exchange.response_due = u64::MAX;
    }
    let Poll::Ready(outcome) = outcome else { return Poll::Pending };
    exchange.response_due = client.deadline.at(exchange.response_timeout());
    if let Err(failed) = end_upload(client, exchange, upload, outcome) {
        return Poll::Ready(Lost::for_good(failed));
    }
    Poll::Pending
}

/// Takes stock of an upload that has ended one way or the other. An endpoint that stops reading may have answered
/// already (RFC 9112 §9.5), so that alone is no failure.
pub fn end_upload(
    client: &mut Client,
    exchange: &mut Exchange,
    upload: &mut Option<Box<Pump>>,
    outcome: Result<(), Broken>,
) -> Result<(), Failure> {
    if let Some(pump) = upload.take() {
        exchange.tally.bytes_in += pump.received;
        client.carry = pump.excess;
    }
    match outcome {
        Ok(()) => Ok(()),
        Err(Broken::Sink) => {
            exchange.is_cut = true;
            exchange.keep_alive = false;
            Ok(())
        }
        Err(broken) => {
            exchange.is_cut = true;
            Err(broken.of_request())
        }
    }
}

/// Reads more of a response head whose beginning is in `buffer`. The request's body goes on meanwhile: the endpoint may
/// be waiting for it.
pub async fn more_head(
    client: &mut Client,
    exchange: &mut Exchange,
    upload: &mut Option<Box<Pump>>,
    upstream: &mut Upstream,
    buffer: &mut Buffer,
) -> Result<(), Lost> {
    buffer.compact();
    if buffer.room().is_empty() {
        return Err(Lost::for_good(Failure::ResponseBad));
    }
    // A head that has begun is due, whether or not the body moves on.
    let due = exchange.response_due.min(client.deadline.at(exchange.response_timeout()));
    poll_fn(|cx| {
        if let Poll::Ready(failed) = poll_upload(client, exchange, upload, upstream, cx) {
            return Poll::Ready(Err(failed));
        }
        match io::poll_read_into(&mut upstream.stream, cx, buffer) {
            Poll::Ready(Ok(n)) if n > 0 => return Poll::Ready(Ok(())),
            Poll::Ready(_) => return Poll::Ready(Err(Lost::for_good(Failure::UpstreamClosed))),
            Poll::Pending => {}
        }
        if upload.is_none() && client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Lost::for_good(Failure::ClientGone)));
        }
        if client.deadline.is_past(due) {
            return Poll::Ready(Err(Lost::for_good(Failure::ResponseTimeout)));
        }
        let body_due = upload.as_ref().map_or(u64::MAX, |pump| pump.due());
        client.deadline.set_at(due.min(body_due).min(client.gone_due()));
        Poll::Pending
    })
    .await
}
