//! Who waits for a place on a shared connection, in the order in which they came: under overload nobody waits longer than
//! those behind, and a place that becomes free wakes one request instead of all.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::{Context, Waker};

/// Those who wait.
#[derive(Default)]
pub struct Line {
    /// With numbers that rise from the front to the back.
    waiting: RefCell<VecDeque<(u64, Waker)>>,
    next: Cell<u64>,
}

/// One who waits; no more, once dropped.
pub struct Place<'a> {
    line: &'a Line,
    number: u64,
}

impl Line {
    /// Joins it at its back.
    pub fn join(&self, cx: &Context<'_>) -> Place<'_> {
        let number = self.next.get();
        self.next.set(number + 1);
        self.waiting.borrow_mut().push_back((number, cx.waker().clone()));
        Place { line: self, number }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Wakes the first `most`.
    pub fn wake(&self, most: usize) {
        self.waiting.borrow().iter().take(most).for_each(|(_, waker)| waker.wake_by_ref());
    }

    fn find(&self, number: u64) -> Option<usize> {
        self.waiting.borrow().binary_search_by_key(&number, |(number, _)| *number).ok()
    }
}

impl Place<'_> {
    /// How many are before it.
    pub fn ahead(&self) -> usize {
        self.line.find(self.number).unwrap_or(0)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(at) = self.line.find(self.number) else { return };
        let mut waiting = self.line.waiting.borrow_mut();
        waiting.remove(at);
        // It may have been woken for what it did not take: that is the next one's.
        if let Some((_, next)) = waiting.get(at) {
            next.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_first_are_woken_and_who_leaves_passes_that_on() {
        let line = Line::default();
        let counts: [Arc<Count>; 3] = Default::default();
        let wakers = counts.clone().map(Waker::from);
        let mut places: Vec<_> = wakers.iter().map(|waker| line.join(&Context::from_waker(waker))).collect();
        let woken = || counts.each_ref().map(|count| count.0.load(Ordering::Relaxed));
        line.wake(2);
        assert_eq!((line.len(), woken()), (3, [1, 1, 0]));
        drop(places.remove(1));
        assert_eq!((places[0].ahead(), places[1].ahead(), woken()), (0, 1, [1, 1, 1]));
        line.wake(usize::MAX);
        assert_eq!(woken(), [2, 1, 2]);
        drop(places);
        assert_eq!(line.len(), 0);
    }
}
