//! *Pick*, when every endpoint is full: waiting in the pool's queue.
//!
//! Who is first looks again whenever a request ends, whichever worker had it, and every while for what makes room without a
//! request (an endpoint that comes back, a limit that grows); everybody else only waits for the turn.

use super::bond::pick_for;
use super::client::Client;
use super::exchange::Exchange;
use evenly_core::affinity::Ask;
use evenly_core::document::Queue;
use evenly_core::error::Failure;
use evenly_core::pool::Lease;
use evenly_core::queue::{self, Place};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Waits for an endpoint with room.
///
/// # Errors
/// The queue is full, the wait was too long, the client went, or the pool lost its endpoints.
pub async fn wait(client: &mut Client, exchange: &mut Exchange, is_read: bool) -> Result<Lease, Failure> {
    let began = client.worker.now();
    let Some(Queue { size, timeout_ms }) = exchange.pool().queue.clone() else {
        return Err(Failure::NoEndpointFull);
    };
    let pool = exchange.pool().id.0;
    let waiting = Arc::clone(&exchange.pool().waiting);
    let Some(place) = waiting.enter(exchange.route().priority, size as usize) else {
        client.worker.stats.borrow_mut().queue_full(pool);
        return Err(Failure::QueueFull);
    };
    client.worker.stats.borrow_mut().queue_entered(pool);
    let turn = Turn { waiting: &waiting, place };
    let due = client.deadline.at(Duration::from_millis(timeout_ms)).min(exchange.due);
    let outcome = poll_fn(|cx| {
        let is_first = waiting.register(place, cx.waker());
        if is_first {
            let now = client.worker.now();
            let ask = Ask { key: exchange.key, tried: &[], now };
            match pick_for(&exchange.view, exchange.pool, &mut exchange.bond, ask) {
                Err(why) if why.is_full() => {}
                picked => return Poll::Ready(picked.map_err(Failure::from)),
            }
        }
        if client.has_gone(is_read, cx) {
            return Poll::Ready(Err(Failure::ClientGone));
        }
        if client.deadline.is_past(exchange.due) {
            return Poll::Ready(Err(Failure::RequestDeadline));
        }
        if client.deadline.is_past(due) {
            return Poll::Ready(Err(Failure::QueueTimeout));
        }
        let look = if is_first { client.deadline.at(Duration::ZERO) } else { u64::MAX };
        client.deadline.set_at(due.min(look).min(client.gone_due()));
        Poll::Pending
    })
    .await;
    drop(turn);
    exchange.tally.queue = client.worker.now().saturating_sub(began);
    client.worker.stats.borrow_mut().queue_left(pool, matches!(outcome, Err(Failure::QueueTimeout)));
    outcome
}

/// A place in the queue, given up in any case; who is first then has a look.
struct Turn<'a> {
    waiting: &'a queue::Queue,
    place: Place,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.waiting.leave(self.place);
    }
}
