//! *Connect*: an idle connection to the endpoint that was picked, or a new one.

use super::client::Client;
use super::exchange::Exchange;
use crate::upstream::{Upstream, dial};
use evenly_core::error::Failure;
use evenly_core::pool::Endpoint;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

/// A connection that could not be had, or that broke before it brought a response.
#[derive(Debug, Clone, Copy)]
pub struct Lost {
    /// What the client is told if that was the last try.
    pub failure: Failure,
    /// Whether the request may be sent once more: it provably did nothing, or doing it twice does no harm.
    pub may_resend: bool,
    /// Whether the connection had carried requests before: its endpoint may only have closed it.
    pub was_reused: bool,
}

impl Lost {
    /// Nothing to be sent again.
    pub fn for_good(failure: Failure) -> Self {
        Self { failure, may_resend: false, was_reused: false }
    }
}

/// A connection to `endpoint`. When the request was lost once, it gets a new one: what is idle may be as stale.
pub async fn connect(
    client: &mut Client,
    exchange: &mut Exchange,
    endpoint: &Endpoint,
    was_lost: bool,
) -> Result<Upstream, Lost> {
    if !was_lost && let Some(upstream) = client.worker.idle.take(endpoint) {
        client.worker.stats.borrow_mut().upstream_reused(endpoint.id().0);
        return Ok(upstream);
    }
    let worker = Rc::clone(&client.worker);
    let began = Instant::now();
    let due = client.deadline.at(exchange.connect_timeout());
    let mut dialling = pin!(dial(endpoint, &worker.idle));
    let dialled = poll_fn(|cx| {
        if let Poll::Ready(dialled) = dialling.as_mut().poll(cx) {
            return Poll::Ready(dialled.map_err(|_| Failure::ConnectFailed));
        }
        if client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Failure::ClientGone));
        }
        if client.deadline.is_past(due) {
            return Poll::Ready(Err(Failure::ConnectTimeout));
        }
        client.deadline.set_at(due.min(client.gone_due()));
        Poll::Pending
    })
    .await;
    exchange.tally.connect += began.elapsed();
    match dialled {
        Ok(upstream) => {
            client.worker.stats.borrow_mut().upstream_opened(endpoint.id().0);
            Ok(upstream)
        }
        // Nothing was sent.
        Err(failure) => {
            let may_resend = !matches!(failure, Failure::ClientGone);
            Err(Lost { failure, may_resend, was_reused: false })
        }
    }
}
