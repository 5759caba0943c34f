//! *Connect*: an idle connection to the endpoint that was picked, or a new one.

use super::client::Client;
use super::exchange::Exchange;
use crate::arrival::introduction;
use crate::upstream::{Upstream, dial, introduce};
use evenly_core::error::Failure;
use evenly_core::pool::Endpoint;
use evenly_core::retry::Cause;
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
    /// What went wrong; `None` if nothing can be tried after it.
    pub cause: Option<Cause>,
    /// Whether the endpoint may have got all of the request.
    pub is_sent: bool,
    /// Whether the connection had carried requests before: its endpoint may only have closed it.
    pub was_reused: bool,
    /// Whether the next try is decided on already.
    pub is_settled: bool,
}

impl Lost {
    /// Nothing to be sent again.
    pub fn for_good(failure: Failure) -> Self {
        Self { failure, cause: None, is_sent: false, was_reused: false, is_settled: false }
    }

    /// Nothing came of it, for this cause.
    pub fn to(cause: Cause, failure: Failure) -> Self {
        Self { cause: Some(cause), ..Self::for_good(failure) }
    }
}

/// A connection to `endpoint`. When the request was lost on one, it gets a new one: what is idle may be as stale.
/// `is_read`: all of the request was taken in.
pub async fn connect(
    client: &mut Client,
    exchange: &mut Exchange,
    endpoint: &Endpoint,
    is_read: bool,
) -> Result<Upstream, Lost> {
    let was_lost = exchange.tally.tries.failed().is_some_and(|failed| failed.is_stale);
    // Connections of which the endpoint knows whose they are serve that client's connection only.
    let introduced = exchange.pool().proxy_protocol.map(|version| (version, Box::new(client.addresses())));
    let told = introduced.as_ref().map(|(_, addresses)| &**addresses);
    if !was_lost && let Some(upstream) = client.worker.idle.take(endpoint, told) {
        client.worker.stats.borrow_mut().upstream_reused(endpoint.id().0);
        return Ok(upstream);
    }
    let worker = Rc::clone(&client.worker);
    let began = Instant::now();
    let due = client.deadline.at(exchange.connect_timeout()).min(exchange.due);
    let mut dialling = pin!(dial(endpoint, &worker.idle));
    let dialled = poll_fn(|cx| {
        if let Poll::Ready(dialled) = dialling.as_mut().poll(cx) {
            return Poll::Ready(dialled.map_err(|_| Lost::to(Cause::ConnectFailure, Failure::ConnectFailed)));
        }
        // What is left of the request's body must stay where it is, or it would be taken for the next request.
        if is_read && client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Lost::for_good(Failure::ClientGone)));
        }
        if client.deadline.is_past(due) {
            return Poll::Ready(Err(if client.deadline.is_past(exchange.due) {
                Lost::for_good(Failure::RequestDeadline)
            } else {
                Lost::to(Cause::ConnectTimeout, Failure::ConnectTimeout)
            }));
        }
        client.deadline.set_at(due.min(client.gone_due()));
        Poll::Pending
    })
    .await;
    exchange.tally.connect += began.elapsed();
    let dialled = dialled.and_then(|mut upstream| {
        let Some((version, addresses)) = introduced else { return Ok(upstream) };
        let header = introduction(version, *addresses, client.proxied.as_deref());
        introduce(&upstream.stream, &header)
            .map_err(|_| Lost::to(Cause::ConnectFailure, Failure::ConnectFailed))?;
        upstream.client = Some(addresses);
        Ok(upstream)
    });
    if dialled.is_ok() {
        client.worker.stats.borrow_mut().upstream_opened(endpoint.id().0);
    }
    dialled
}
