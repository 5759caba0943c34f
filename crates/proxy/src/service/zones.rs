//! Evacuated zones, and that each comes back in time: the service thread sees to it, whatever becomes of whoever asked.

use super::events::{Event, Events, Level, Subject};
use crate::clock::{Clock, nanos};
use evenly_core::pool::{Evacuations, Nanos, Pool};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often is looked for evacuations that are over; they are given in minutes.
pub(super) const EXPIRY_TICK: Duration = Duration::from_millis(100);

/// The evacuations, as the operator's calls and the service thread share them. Nobody on the packet path takes the lock:
/// pickers read a mark at each endpoint.
#[derive(Debug)]
pub struct Zones {
    evacuations: Mutex<Evacuations>,
    /// The workers'.
    clock: Clock,
    events: Arc<Events>,
}

impl Zones {
    pub(super) fn new(clock: Clock, events: Arc<Events>) -> Self {
        Self { evacuations: Mutex::default(), clock, events }
    }

    /// Evacuates a zone of these pools for so long from now.
    pub fn evacuate(&self, zone: &str, time: Duration, pools: &[Arc<Pool>]) {
        let mut evacuations = self.lock();
        evacuations.begin(zone, self.clock.now().saturating_add(nanos(time)));
        evacuations.mark(pools);
        self.tell(zone, "in service", "evacuated", "set by the operator");
    }

    /// Takes a zone back into service; whether it was evacuated.
    pub fn restore(&self, zone: &str, pools: &[Arc<Pool>]) -> bool {
        let mut evacuations = self.lock();
        let was_evacuated = evacuations.end(zone);
        if was_evacuated {
            evacuations.mark(pools);
            self.tell(zone, "evacuated", "in service", "set by the operator");
        }
        was_evacuated
    }

    /// Marks the endpoints of a new snapshot.
    pub fn mark(&self, pools: &[Arc<Pool>]) {
        self.lock().mark(pools);
    }

    /// Takes back every zone whose time is over.
    pub(super) fn expire(&self, pools: &[Arc<Pool>]) {
        let mut evacuations = self.lock();
        let over = evacuations.expire(self.clock.now());
        if over.is_empty() {
            return;
        }
        evacuations.mark(pools);
        over.iter().for_each(|zone| self.tell(zone, "evacuated", "in service", "its time is over"));
    }

    /// All evacuated zones with the time that is left of each evacuation.
    pub fn evacuated(&self) -> Vec<(String, Duration)> {
        let now = self.clock.now();
        let left = |until: Nanos| Duration::from_nanos(until.saturating_sub(now));
        self.lock().iter().map(|(zone, until)| (zone.to_owned(), left(until))).collect()
    }

    fn tell(&self, zone: &str, from: &'static str, to: &'static str, reason: &'static str) {
        self.events.push(Event::new(Level::Info, Subject::Zone { zone: zone.to_owned(), from, to, reason }));
    }

    fn lock(&self) -> MutexGuard<'_, Evacuations> {
        // A holder that panicked left at worst an endpoint unmarked, which the next snapshot marks.
        self.evacuations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
