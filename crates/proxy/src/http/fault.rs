//! Faults that the route injects: done before an endpoint is picked, so that none of them ever hears of it.

use super::client::Client;
use super::exchange::Exchange;
use evenly_core::error::Failure;
use evenly_core::route::{Injected, Request, Route};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// What the route injects into this request.
pub fn draw(client: &Client, route: &Route, request: &Request<'_>) -> Option<Box<Injected>> {
    let fault = route.fault.as_ref()?;
    fault.draw(request, &mut client.worker.random.borrow_mut()).map(Box::new)
}

/// Waits and aborts as drawn. An error is the failure with its status; `is_read` as in `handle::fail`.
pub async fn inject(
    client: &mut Client,
    exchange: &mut Exchange,
    injected: Injected,
    is_read: bool,
) -> Result<(), (Failure, u16)> {
    let route = exchange.route().id.0;
    if let Some(delay) = injected.delay {
        client.worker.stats.borrow_mut().fault_delayed(route);
        let began = Instant::now();
        let waited = wait(client, delay, is_read).await;
        if let Some(line) = &mut exchange.tally.line {
            line.delayed(began.elapsed());
        }
        waited.map_err(|failure| (failure, failure.status()))?;
    }
    let Some(status) = injected.abort else { return Ok(()) };
    client.worker.stats.borrow_mut().fault_aborted(route);
    Err((Failure::FaultAborted, status))
}

/// Waits, unless the client goes away. By the alarm clock: deadlines are too coarse for what may be a few milliseconds.
async fn wait(client: &mut Client, delay: Duration, is_read: bool) -> Result<(), Failure> {
    let mut sleep = pin!(client.worker.alarm.sleep(delay));
    poll_fn(|cx| {
        if sleep.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        // What is left of the request's body must stay where it is.
        if client.has_gone(is_read, cx) {
            return Poll::Ready(Err(Failure::ClientGone));
        }
        client.deadline.set_at(client.gone_due());
        Poll::Pending
    })
    .await
}
