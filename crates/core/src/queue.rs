//! Who waits for a pool that is full, and whose turn it is: by priority, and within one in the order of arrival.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// How urgent a route's requests are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Before all others.
    High,
    /// Unless the user says otherwise.
    Normal,
    /// After all others.
    Low,
}

/// A place in a [`Queue`]. Places compare in the order in which they get their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    priority: Priority,
    arrival: u64,
}

/// The requests that wait for one pool, of all workers and under all configurations. Bounded: who finds it full has to go.
///
/// A pool for which nobody waits costs a request one load; workers share the lock only where requests wait anyway.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: AtomicUsize,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    /// Each with whom to wake, once that is known.
    taken: BTreeMap<Place, Option<Waker>>,
    arrivals: u64,
}

impl Queue {
    /// A place at the end of those with the same priority; `None` when `most` are waiting already.
    pub fn enter(&self, priority: Priority, most: usize) -> Option<Place> {
        let mut places = self.lock();
        if places.taken.len() >= most {
            return None;
        }
        places.arrivals += 1;
        let place = Place { priority, arrival: places.arrivals };
        places.taken.insert(place, None);
        self.waiting.store(places.taken.len(), Ordering::SeqCst);
        Some(place)
    }

    /// Remembers whom to wake when it is a place's turn to look, and says whether that is now.
    pub fn register(&self, place: Place, waker: &Waker) -> bool {
        let mut places = self.lock();
        if let Some(known) = places.taken.get_mut(&place)
            && !known.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            *known = Some(waker.clone());
        }
        places.first() == Some(place)
    }

    /// Gives a place up, whether it had its turn or not, and has the next one look.
    pub fn leave(&self, place: Place) {
        let mut places = self.lock();
        places.taken.remove(&place);
        self.waiting.store(places.taken.len(), Ordering::SeqCst);
        drop(places);
        self.call();
    }

    /// Has whoever is first look whether there is room now.
    pub fn call(&self) {
        if self.is_empty() {
            return;
        }
        let waker = self.lock().taken.first_key_value().and_then(|(_, waker)| waker.clone());
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // Changed by whole calls, so a panic of the lock's holder leaves it usable.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn first(&self) -> Option<Place> {
        self.taken.first_key_value().map(|(place, _)| *place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::task::Wake;

    #[test]
    fn it_is_bounded() {
        let queue = Queue::default();
        let place = queue.enter(Priority::Normal, 1).unwrap();
        assert_eq!(queue.enter(Priority::High, 1), None);
        queue.leave(place);
        assert!(queue.is_empty());
        assert!(queue.enter(Priority::Low, 1).is_some());
    }

    #[test]
    fn whoever_is_first_is_woken_and_nobody_else() {
        let queue = Queue::default();
        let [low, high] = [Priority::Low, Priority::High].map(|priority| queue.enter(priority, 2).unwrap());
        let wakes = [low, high].map(|place| {
            let (waker, wakes) = counting();
            assert_eq!(queue.register(place, &waker), place == high);
            wakes
        });
        let woken = || wakes.each_ref().map(|wakes| wakes.0.load(Ordering::Relaxed));
        queue.call();
        assert_eq!(woken(), [0, 1]);
        queue.leave(high);
        assert_eq!(woken(), [1, 1]);
        queue.leave(low);
        queue.call();
        assert_eq!(woken(), [1, 1]);
    }

    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counting() -> (Waker, Arc<Wakes>) {
        let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        (Waker::from(Arc::clone(&wakes)), wakes)
    }

    proptest! {
        /// Turns come by priority and then by arrival, whoever leaves in between.
        #[test]
        fn turns_are_in_order(steps in prop::collection::vec((0_usize..3, prop::bool::weighted(0.3)), 1..200)) {
            let queue = Queue::default();
            let mut model: Vec<(usize, usize, Place)> = Vec::new();
            for (arrival, (priority, leaves)) in steps.into_iter().enumerate() {
                if leaves && !model.is_empty() {
                    let (_, _, place) = model.remove(arrival % model.len());
                    queue.leave(place);
                } else {
                    let word = [Priority::High, Priority::Normal, Priority::Low][priority];
                    model.push((priority, arrival, queue.enter(word, usize::MAX).unwrap()));
                }
                let first = model.iter().min_by_key(|(priority, arrival, _)| (*priority, *arrival));
                prop_assert_eq!(queue.lock().first(), first.map(|(_, _, place)| *place));
            }
        }
    }
}
