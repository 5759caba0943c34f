//! Zones that an operator has evacuated, each until a moment that must be given: an evacuation that nobody lifts ends by
//! itself, so that a night's emergency does not become next month's missing capacity.

use super::{Nanos, Pool};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The evacuated zones and when each comes back. Outlives reloads, and a zone that a reload takes away and another
/// brings back is evacuated still.
#[derive(Debug, Clone, Default)]
pub struct Evacuations {
    until: BTreeMap<Box<str>, Nanos>,
}

impl Evacuations {
    /// Evacuates a zone until a moment; of one that is evacuated already, the end moves.
    pub fn begin(&mut self, zone: &str, until: Nanos) {
        self.until.insert(zone.into(), until);
    }

    /// Takes a zone back into service; whether it was evacuated.
    pub fn end(&mut self, zone: &str) -> bool {
        self.until.remove(zone).is_some()
    }

    /// Takes back every zone whose time is over; which they were.
    pub fn expire(&mut self, now: Nanos) -> Vec<Box<str>> {
        let over = self.until.iter().filter(|(_, until)| **until <= now);
        let over: Vec<Box<str>> = over.map(|(zone, _)| zone.clone()).collect();
        over.iter().for_each(|zone| {
            self.until.remove(zone);
        });
        over
    }

    /// When an evacuated zone comes back; `None` if it is not evacuated.
    pub fn until(&self, zone: &str) -> Option<Nanos> {
        self.until.get(zone).copied()
    }

    /// All evacuated zones with the moments when they come back.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Nanos)> {
        self.until.iter().map(|(zone, until)| (&**zone, *until))
    }

    /// Marks the endpoints of these pools, and tells the pickers of those in which one has changed.
    pub fn mark(&self, pools: &[Arc<Pool>]) {
        for pool in pools {
            let changed = pool.members.iter().filter(|member| {
                let is_evacuated = member.zone.as_deref().is_some_and(|zone| self.until.contains_key(zone));
                member.endpoint.set_evacuated(is_evacuated) != is_evacuated
            });
            if changed.count() > 0 {
                pool.changed();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_evacuation_ends() {
        let mut evacuations = Evacuations::default();
        evacuations.begin("a", 10);
        evacuations.begin("b", 20);
        evacuations.begin("a", 30);
        assert_eq!((evacuations.until("a"), evacuations.until("c")), (Some(30), None));
        assert!(evacuations.expire(19).is_empty());
        assert_eq!(evacuations.expire(20), ["b".into()]);
        assert!(evacuations.end("a") && !evacuations.end("a"));
        assert_eq!(evacuations.iter().count(), 0);
    }
}
