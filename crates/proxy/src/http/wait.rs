//! Waiting for the endpoint's response head, while the request's body may still be on its way and the client may go.

use super::client::Client;
use super::connect::{Lost, lost_on, unreached};
use super::exchange::Exchange;
use super::mirror;
use crate::io;
use crate::pump::{Broken, Pump};
use crate::tls::of_read;
use crate::upstream::Upstream;
use crate::worker::buffers::Buffer;
use evenly_core::error::Failure;
use evenly_core::retry::Cause;
use std::future::poll_fn;
use std::task::{Context, Poll};

/// Waits for the response's first bytes.
pub async fn response_head(
    client: &mut Client,
    exchange: &mut Exchange,
    upload: &mut Option<Box<Pump>>,
    upstream: &mut Upstream,
) -> Result<Buffer, Lost> {
    // Interim responses do not put it off: it holds for the final one.
    let is_unset = exchange.response_due == u64::MAX;
    if upload.is_none() && is_unset || exchange.awaits_continue {
        exchange.response_due = client.deadline.at(exchange.response_timeout());
    }
    poll_fn(|cx| {
        if let Poll::Ready(failed) = poll_upload(client, exchange, upload, upstream, cx) {
            return Poll::Ready(Err(failed));
        }
        match io::poll_read_for(&mut upstream.stream, cx, &client.worker.buffers, &client.stream) {
            Poll::Ready(Ok(buffer)) if !buffer.is_empty() => return Poll::Ready(Ok(buffer)),
            Poll::Ready(ended) => return Poll::Ready(Err(closed(upstream, ended.err()))),
            Poll::Pending => {}
        }
        if upload.is_none() && client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Lost::for_good(Failure::ClientGone)));
        }
        let due = exchange.response_due.min(exchange.due);
        if client.deadline.is_past(due) {
            return Poll::Ready(Err(late(client, exchange)));
        }
        let body_due = upload.as_ref().map_or(u64::MAX, |pump| pump.due());
        client.deadline.set_at(due.min(body_due).min(client.gone_due()));
        Poll::Pending
    })
    .await
}

/// The endpoint ended the connection instead of an answer.
pub fn closed(upstream: &Upstream, error: Option<std::io::Error>) -> Lost {
    let trouble = error
        .and_then(|error| of_read(&error))
        .filter(|_| !upstream.reused && !upstream.stream.frames_messages());
    if let (Some(trouble), Some(target)) = (trouble, &upstream.target) {
        target.failed(trouble);
        // Nothing that we sent was accepted.
        return unreached((trouble.failure, true));
    }
    lost_on(upstream, true)
}

/// The response's head did not come in time: for this try, or for the whole request.
fn late(client: &Client, exchange: &Exchange) -> Lost {
    if client.deadline.is_past(exchange.due) {
        return Lost::for_good(Failure::RequestDeadline);
    }
    Lost { is_sent: true, ..Lost::to(Cause::Timeout, Failure::ResponseTimeout) }
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
    let Some(mut pump) = upload.take() else { return Ok(()) };
    exchange.tally.bytes_in += pump.received;
    match outcome {
        Ok(()) => {
            client.carry = pump.excess.take();
            mirror::uploaded(exchange, pump.tee.take());
            match pump.rewind() {
                Some(whole) => exchange.keep(whole, &pump),
                None => exchange.can_repeat = false,
            }
            Ok(())
        }
        Err(Broken::Sink) => {
            exchange.is_cut = true;
            if pump.is_repeatable() {
                exchange.tally.tries.put_by(pump);
            }
            Ok(())
        }
        Err(Broken::SourceLate) if exchange.tally.call.is_some() => {
            exchange.is_cut = true;
            // Either side may have been the one to speak.
            Err(Failure::IdleTimeout)
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
    let due = exchange.response_due.min(client.deadline.at(exchange.response_timeout())).min(exchange.due);
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
            return Poll::Ready(Err(Lost::for_good(late(client, exchange).failure)));
        }
        let body_due = upload.as_ref().map_or(u64::MAX, |pump| pump.due());
        client.deadline.set_at(due.min(body_due).min(client.gone_due()));
        Poll::Pending
    })
    .await
}
