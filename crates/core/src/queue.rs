//! Who waits for a pool that is full, and whose turn it is: by priority, and within one in the order of arrival.

use std::collections::BTreeSet;

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

/// The requests of one worker that wait for one pool. Bounded: who finds it full has to go.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: BTreeSet<Place>,
    arrivals: u64,
}

impl Queue {
    /// A place at the end of those with the same priority; `None` when `most` are waiting already.
    pub fn enter(&mut self, priority: Priority, most: usize) -> Option<Place> {
        if self.waiting.len() >= most {
            return None;
        }
        self.arrivals += 1;
        let place = Place { priority, arrival: self.arrivals };
        self.waiting.insert(place);
        Some(place)
    }

    /// Gives a place up, whether it had its turn or not.
    pub fn leave(&mut self, place: Place) {
        self.waiting.remove(&place);
    }

    /// Whose turn it is.
    pub fn first(&self) -> Option<Place> {
        self.waiting.first().copied()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_bounded() {
        let mut queue = Queue::default();
        let place = queue.enter(Priority::Normal, 1).unwrap();
        assert_eq!(queue.enter(Priority::High, 1), None);
        queue.leave(place);
        assert!(queue.is_empty());
        assert!(queue.enter(Priority::Low, 1).is_some());
    }

    proptest! {
        /// Turns come by priority and then by arrival, whoever leaves in between.
        #[test]
        fn turns_are_in_order(steps in prop::collection::vec((0_usize..3, prop::bool::weighted(0.3)), 1..200)) {
            let mut queue = Queue::default();
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
                prop_assert_eq!(queue.first(), first.map(|(_, _, place)| *place));
            }
        }
    }
}
