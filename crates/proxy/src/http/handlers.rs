//! The state of requests under way, lent to connections for as long as each has one.
//!
//! What a request needs between its steps is ten times what an idle connection needs, and most connections are idle
//! most of the time. So that state lives in handlers, which a worker keeps and lends: a connection gets one with its
//! first bytes and gives it back with the last. Steady traffic allocates nothing for it.

use super::client::Client;
use super::handle::{Next, serve};
use crate::worker::buffers::Buffer;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

/// Handlers that a worker keeps; a burst above it returns their memory. They take about 3 KiB each.
const FREE_HANDLERS: usize = 256;

/// A worker's free handlers.
#[derive(Default)]
pub struct Handlers {
    free: RefCell<Vec<Handler>>,
}

/// A task that takes one request after another through the steps. Whoever lent it polls it, as a part of the
/// connection's own task.
struct Handler {
    task: Pin<Box<dyn Future<Output = ()>>>,
    desk: Rc<Desk>,
}

/// Where a handler finds its next request and leaves what follows the last one.
#[derive(Default)]
pub struct Desk {
    request: Cell<Option<(Box<Client>, Buffer)>>,
    outcome: Cell<Option<(Box<Client>, Next)>>,
}

impl Handlers {
    /// Takes one request through the steps; see [`serve`].
    pub async fn handle(&self, client: Box<Client>, input: Buffer) -> (Box<Client>, Next) {
        let free = self.free.borrow_mut().pop();
        let mut handler = free.unwrap_or_else(Handler::new);
        handler.desk.request.set(Some((client, input)));
        let outcome = poll_fn(|cx| {
            // It never ends; that it has done its work shows on the desk.
            let _ = handler.task.as_mut().poll(cx);
            handler.desk.outcome.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        let mut free = self.free.borrow_mut();
        if free.len() < FREE_HANDLERS {
            free.push(handler);
        }
        outcome
    }
}

impl Handler {
    fn new() -> Self {
        let desk = Rc::<Desk>::default();
        Self { task: Box::pin(serve(Rc::clone(&desk))), desk }
    }
}

impl Desk {
    /// The next request. Whoever puts it here polls next.
    pub async fn next(&self) -> (Box<Client>, Buffer) {
        poll_fn(|_| self.request.take().map_or(Poll::Pending, Poll::Ready)).await
    }

    /// Leaves what follows a request.
    pub fn done(&self, client: Box<Client>, next: Next) {
        self.outcome.set(Some((client, next)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A handler's state may grow with what requests can do, but not unnoticed.
    #[test]
    fn a_handler_is_small() {
        let size = size_of_val(&serve(Rc::default()));
        assert!(size <= 4096, "{size} bytes");
    }
}
