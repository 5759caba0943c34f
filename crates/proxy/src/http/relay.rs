//! *Relay*: the response's body, and what is left of the request's beside it.

use super::client::Client;
use super::exchange::Exchange;
use super::wait::end_upload;
use crate::pump::Pump;
use crate::upstream::Upstream;
use evenly_core::error::Failure;
use std::future::poll_fn;
use std::task::Poll;

/// Pumps a response's body, and what is left of the request's beside it, until the response is through.
pub async fn relay(
    client: &mut Client,
    exchange: &mut Exchange,
    upstream: &mut Upstream,
    download: &mut Pump,
    upload: &mut Option<Box<Pump>>,
) -> Result<(), Failure> {
    let mut seen = download.written;
    let call_due = exchange.tally.call.as_ref().map_or(u64::MAX, |call| call.due);
    poll_fn(|cx| {
        if let Some(pump) = upload {
            let sides = (&mut client.stream, &mut upstream.stream);
            let received = pump.received;
            let outcome = pump.poll(cx, sides, &client.worker.buffers, &client.deadline);
            if pump.received > received && exchange.tally.call.is_some() {
                // Whoever talks to one another in a call need not do so both at once.
                download.stir(&client.deadline);
            }
            if let Poll::Ready(outcome) = outcome {
                // The response has begun, so the client cannot be told; but it can see that this is not the whole.
                if let Err(failure) = end_upload(client, exchange, upload, outcome) {
                    return Poll::Ready(Err(failure));
                }
            }
        }
        let sides = (&mut upstream.stream, &mut client.stream);
        let outcome = download.poll(cx, sides, &client.worker.buffers, &client.deadline);
        if outcome.is_ready() {
            return outcome.map_err(|broken| broken.of_response());
        }
        if download.written > seen {
            // It takes what it is sent, so it is there, whether or not it has more to say.
            seen = download.written;
            client.listens();
            if let Some(pump) = upload.as_mut().filter(|_| exchange.tally.call.is_some()) {
                pump.stir(&client.deadline);
            }
        }
        if client.deadline.is_past(call_due) {
            return Poll::Ready(Err(Failure::RequestDeadline));
        }
        if upload.is_none() && client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Failure::ClientGone));
        }
        let body_due = upload.as_ref().map_or(u64::MAX, |pump| pump.due());
        client.deadline.set_at(download.due().min(body_due).min(client.gone_due()).min(call_due));
        Poll::Pending
    })
    .await
}
