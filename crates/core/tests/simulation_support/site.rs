//! The host behind an address: how fast it answers, whether it fails, and its health check.

use super::MS;
use evenly_core::document::HealthCheck;
use evenly_core::health::HealthTracker;
use evenly_core::pool::{Health, Nanos};
use evenly_core::random::Random;

pub struct Site {
    /// Of every response.
    pub latency: Nanos,
    trouble: Trouble,
    tracker: Option<HealthTracker>,
    next_check: Nanos,
}

#[derive(Clone, Copy)]
enum Trouble {
    None,
    Down,
    /// Fails and works in turn, this long each.
    Flapping(Nanos),
}

impl Site {
    /// A host that works, seen for the first time at `now`.
    pub fn new(now: Nanos, random: &mut Random) -> Self {
        let latency = [MS, 5 * MS, 50 * MS, 1_000 * MS][random.index(4)];
        Self { latency, trouble: Trouble::None, tracker: None, next_check: now + random.below(100 * MS) }
    }

    pub fn is_failing(&self, now: Nanos) -> bool {
        match self.trouble {
            Trouble::None => false,
            Trouble::Down => true,
            Trouble::Flapping(period) => (now / period).is_multiple_of(2),
        }
    }

    pub fn befall(&mut self, random: &mut Random) {
        match random.below(3) {
            0 => self.latency = (MS + random.below(1_000 * MS)).min(1_000 * MS),
            1 => self.trouble = Trouble::Down,
            _ => self.trouble = Trouble::Flapping(50 * MS + random.below(2_000 * MS)),
        }
    }

    pub fn repair(&mut self) {
        self.trouble = Trouble::None;
    }

    /// Runs the health check if it is due; the health that came out of it if that is another one.
    pub fn check(
        &mut self,
        health: Health,
        now: Nanos,
        policy: &HealthCheck,
        random: &mut Random,
    ) -> Option<Health> {
        if now < self.next_check {
            return None;
        }
        let outcome = if self.is_failing(now) { Err("connect: connection refused") } else { Ok(()) };
        // An endpoint that was removed and came back, or whose check was, has a health that the tracker did not see.
        let tracker = self.tracker.take().filter(|tracker| tracker.health() == health);
        let mut tracker = tracker.unwrap_or_else(|| HealthTracker::new(health));
        let transition = tracker.observe(outcome, policy);
        let delay = tracker.next_delay(policy, random);
        self.next_check = now + Nanos::try_from(delay.as_nanos()).expect("a short delay");
        self.tracker = Some(tracker);
        transition.map(|transition| {
            assert_eq!(transition.from, health);
            transition.to
        })
    }
}
