//! Deadlines without timers: a connection stores when it wants to be woken, and one tick for all looks for what is due.
//!
//! Setting a deadline is one store, so that it costs nothing to set one for every wait of every request. The price is
//! resolution: a deadline fires up to two ticks late, never early.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

/// How often the worker looks for what is due. 50 ms is below every timeout that makes sense for a connection, and
/// looking at 50,000 slots twenty times a second is under 0.5 % of a core.
pub const TICK: Duration = Duration::from_millis(50);

/// No deadline.
const NEVER: u64 = u64::MAX;
/// The deadline passed and its owner was woken.
const PASSED: u64 = 0;

/// All deadlines of a worker.
#[derive(Default)]
pub struct Deadlines {
    /// Ticks since the worker began, from 1 on.
    now: Cell<u64>,
    /// Due ticks, dense so that the scan stays in the cache; the wakers lie beside them.
    due: RefCell<Vec<u64>>,
    wakers: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<u32>>,
}

impl Deadlines {
    /// A slot for one connection.
    pub fn slot(self: &Rc<Self>) -> Deadline {
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            self.due.borrow_mut().push(NEVER);
            self.wakers.borrow_mut().push(None);
            u32::try_from(self.due.borrow().len() - 1)
                .expect("connections are bounded by the descriptor limit")
        });
        Deadline { index, all: Rc::clone(self) }
    }

    /// One tick passed: wakes the owners of what is due.
    pub fn tick(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        // Indices, not an iterator: a waker may run code that takes a slot.
        let slots = self.due.borrow().len();
        for index in 0..slots {
            let due = self.due.borrow()[index];
            if due > now || due == PASSED {
                continue;
            }
            self.due.borrow_mut()[index] = PASSED;
            let waker = self.wakers.borrow()[index].clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Wakes every owner, due or not: something they all look at has changed (the worker drains).
    pub fn wake_all(&self) {
        let wakers: Vec<Waker> = self.wakers.borrow().iter().flatten().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The tick that lies `after` in the future, rounded up.
    pub fn at(&self, after: Duration) -> u64 {
        let tick = u64::try_from(TICK.as_millis()).expect("a tick is milliseconds");
        let ticks = u64::try_from(after.as_millis()).unwrap_or(NEVER / 2).div_ceil(tick);
        // The current tick is partly over, so one more keeps the deadline from being early.
        self.now.get().saturating_add(ticks).saturating_add(1)
    }
}

/// One owner's deadline.
pub struct Deadline {
    index: u32,
    all: Rc<Deadlines>,
}

impl Deadline {
    fn index(&self) -> usize {
        self.index as usize
    }

    /// Remembers whom to wake. A task's waker does not change, so once at its start is enough.
    pub fn register(&self, cx: &Context<'_>) {
        self.all.wakers.borrow_mut()[self.index()] = Some(cx.waker().clone());
    }

    /// Due `after` from now.
    pub fn set(&self, after: Duration) {
        self.set_at(self.all.at(after));
    }

    /// Due at a tick that [`Deadlines::at`] gave.
    pub fn set_at(&self, tick: u64) {
        self.all.due.borrow_mut()[self.index()] = tick;
    }

    /// Not due any more.
    pub fn clear(&self) {
        self.set_at(NEVER);
    }

    /// Whether it passed.
    pub fn passed(&self) -> bool {
        self.all.due.borrow()[self.index()] == PASSED
    }

    /// The tick `after` from now, to be compared with [`Deadline::is_past`].
    pub fn at(&self, after: Duration) -> u64 {
        self.all.at(after)
    }

    /// Whether `tick` is over.
    pub fn is_past(&self, tick: u64) -> bool {
        tick <= self.all.now.get()
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.clear();
        self.all.wakers.borrow_mut()[self.index()] = None;
        self.all.free.borrow_mut().push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_never_early_and_at_most_two_ticks_late() {
        let deadlines = Rc::new(Deadlines::default());
        let deadline = deadlines.slot();
        deadline.set(TICK * 3);
        let mut ticks = 0;
        while !deadline.passed() {
            deadlines.tick();
            ticks += 1;
        }
        assert!((3..=5).contains(&ticks), "{ticks} ticks");
    }

    #[test]
    fn a_cleared_deadline_never_fires_and_its_slot_is_used_again() {
        let deadlines = Rc::new(Deadlines::default());
        let deadline = deadlines.slot();
        deadline.set(Duration::ZERO);
        deadline.clear();
        deadlines.tick();
        deadlines.tick();
        assert!(!deadline.passed());
        drop(deadline);
        assert_eq!(deadlines.slot().index, 0);
    }
}
