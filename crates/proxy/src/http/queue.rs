//! *Pick*, when every endpoint is full: waiting in the pool's queue.
//!
//! Each worker has a queue of its own, so that nobody waits for a lock. Who is first looks again whenever a request of the same
//! worker ends, and with each tick for those of others; everybody else only waits for the turn.

use super::bond::pick_for;
use super::client::Client;
use super::exchange::Exchange;
use crate::worker::waiting::Waiting;
use evenly_core::affinity::Ask;
use evenly_core::document::Queue;
use evenly_core::error::Failure;
use evenly_core::pool::Lease;
use evenly_core::queue::Place;
use std::future::poll_fn;
use std::rc::Rc;
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
    let waiting = Rc::clone(exchange.view.waiting(exchange.pool));
    let workers = exchange.view.snapshot.document.workers.max(1);
    let most = (size as usize).div_ceil(usize::from(workers));
    let Some(place) = waiting.enter(exchange.route().priority, most) else {
        client.worker.stats.borrow_mut().queue_full(pool);
        return Err(Failure::QueueFull);
    };
    client.worker.stats.borrow_mut().queue_entered(pool);
    let turn = Turn { waiting: &waiting, place };
    let due = client.deadline.at(Duration::from_millis(timeout_ms)).min(exchange.due);
    let outcome = poll_fn(|cx| {
        waiting.register(place, cx.waker());
        let is_first = waiting.is_first(place);
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
        // Requests of other workers end without a word to this one.
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
    waiting: &'a Waiting,
    place: Place,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.waiting.leave(self.place);
    }
}
