//! A worker's queue for one pool, with whom to wake.

use evenly_core::queue::{Place, Priority, Queue};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::task::Waker;

/// The requests that wait for a pool.
#[derive(Default)]
pub struct Waiting {
    queue: RefCell<Queue>,
    wakers: RefCell<BTreeMap<Place, Waker>>,
}

impl Waiting {
    /// A place; `None` when `most` are waiting already.
    pub fn enter(&self, priority: Priority, most: usize) -> Option<Place> {
        self.queue.borrow_mut().enter(priority, most)
    }

    /// Remembers whom to wake when a place's turn comes.
    pub fn register(&self, place: Place, waker: &Waker) {
        let mut wakers = self.wakers.borrow_mut();
        if !wakers.get(&place).is_some_and(|known| known.will_wake(waker)) {
            wakers.insert(place, waker.clone());
        }
    }

    /// Whether it is this place's turn.
    pub fn is_first(&self, place: Place) -> bool {
        self.queue.borrow().first() == Some(place)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Gives a place up, and has the next one look.
    pub fn leave(&self, place: Place) {
        self.queue.borrow_mut().leave(place);
        self.wakers.borrow_mut().remove(&place);
        self.call();
    }

    /// Has whoever is first look whether there is room now.
    pub fn call(&self) {
        let first = self.queue.borrow().first();
        let waker = first.and_then(|place| self.wakers.borrow().get(&place).cloned());
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
