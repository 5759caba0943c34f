//! Early data (0-RTT, RFC 8446 §2.3): what a client that resumes a session says with its first packet, before it has shown that it
//! is there. Whoever has recorded it can say it as well, so that what is done with it is for routes to say
//! (`http/early.rs`).

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};

/// What of it a listener takes over TCP: some heads of requests. What is more comes behind the handshake.
pub const EARLY_BYTES: u32 = 16 * 1024;

/// The time of a connection from its early data to the end of its handshake.
#[derive(Debug)]
pub struct Early {
    is_open: Cell<bool>,
    /// Who waits for its end.
    waiting: RefCell<Vec<Waker>>,
}

impl Early {
    /// It begins.
    pub fn begin() -> Box<Self> {
        Box::new(Self { is_open: Cell::new(true), waiting: RefCell::default() })
    }

    /// Whether the handshake is not over yet.
    pub fn is_open(&self) -> bool {
        self.is_open.get()
    }

    /// Has the task woken when it is.
    pub fn register(&self, cx: &Context<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
    }

    /// It is.
    pub fn end(&self) {
        self.is_open.set(false);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}
