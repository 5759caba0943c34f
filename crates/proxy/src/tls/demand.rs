//! Names that clients ask for and no certificate has yet, where one may be issued on demand: the control plane is told, and
//! says when that is settled. Handshakes wait meanwhile, within their deadline.

use crate::service::{Event, Events, Level, Subject};
use evenly_core::certificates::{Names, Patterns};
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Names that are asked about at the same time, over all workers. Whoever makes up more of them gets what clients get that
/// ask for nothing known.
const MOST: usize = 256;
/// After so long a name that was not settled is told anew: the control plane may have missed it.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// What is being asked about.
#[derive(Debug)]
pub struct Demand {
    names: Mutex<FxHashMap<Box<str>, Instant>>,
    events: Arc<Events>,
}

impl Demand {
    /// Nothing yet; `events` is where the control plane listens.
    pub fn new(events: &Arc<Events>) -> Self {
        Self { names: Mutex::default(), events: Arc::clone(events) }
    }

    /// Asks for a name, unless that was done already; false if too many are.
    pub fn ask(&self, name: &str, now: Instant) -> bool {
        let mut names = self.lock();
        names.retain(|_, since| now.saturating_duration_since(*since) < FORGOTTEN);
        if names.contains_key(name) {
            return true;
        }
        if names.len() == MOST {
            return false;
        }
        names.insert(name.into(), now);
        drop(names);
        self.events.push(Event::new(Level::Info, Subject::Name { name: name.into() }));
        true
    }

    /// Whether it is not settled yet.
    pub fn is_open(&self, name: &str) -> bool {
        self.lock().contains_key(name)
    }

    /// There is a certificate by now, or there will be none.
    pub fn settle(&self, name: &str) {
        self.lock().remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<Box<str>, Instant>> {
        // Changed by whole calls, so a panic of the lock's holder leaves it usable.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a listener may have issued on demand.
#[derive(Debug, Clone)]
pub struct OnDemand {
    /// Names that may be asked about.
    pub patterns: Arc<Patterns>,
    /// Those that certificates have.
    pub names: Arc<Names>,
    /// Where to ask.
    pub demand: Arc<Demand>,
}

impl OnDemand {
    /// Whether a name has no certificate, and may get one.
    pub fn lacks(&self, name: &str) -> bool {
        !self.names.knows(name) && self.patterns.matches(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_once_until_it_is_settled_or_forgotten() {
        let events = Arc::<Events>::default();
        let demand = Demand::new(&events);
        let now = Instant::now();
        assert!(demand.ask("shop.test", now) && demand.ask("shop.test", now));
        assert_eq!(events.wait(Duration::ZERO).len(), 1);
        assert!(demand.is_open("shop.test"));
        demand.settle("shop.test");
        assert!(!demand.is_open("shop.test"));
        assert!(demand.ask("shop.test", now) && demand.ask("shop.test", now + FORGOTTEN));
        assert_eq!(events.wait(Duration::ZERO).len(), 2);
    }

    #[test]
    fn not_more_than_so_many_at_once() {
        let demand = Demand::new(&Arc::default());
        let now = Instant::now();
        assert!((0..MOST).all(|number| demand.ask(&number.to_string(), now)));
        assert!(!demand.ask("one more", now) && demand.ask("0", now));
        demand.settle("0");
        assert!(demand.ask("one more", now));
    }
}
