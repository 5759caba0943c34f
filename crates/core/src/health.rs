//! Health of one endpoint: what a sequence of check results means. Runs no check and knows no clock.
//!
//! | health | after a success | after a failure |
//! |---|---|---|
//! | starting | healthy | unhealthy |
//! | healthy | stays | unhealthy, if it is the `unhealthy_after`-th in a row |
//! | unhealthy | healthy, if it is the `healthy_after`-th in a row | stays |
//!
//! The first result decides alone: there is no earlier opinion that a single check could wrongly overturn, and while an
//! endpoint is starting nobody knows whether its traffic arrives. Waiting for more results would only make a new
//! endpoint, or a whole process that was just started, useful later, and a dead one harmful for longer.

use crate::document::HealthCheck;
use crate::pool::Health;
use crate::random::Random;
use std::time::Duration;

/// Follows one endpoint's check results.
#[derive(Debug, Clone)]
pub struct HealthTracker {
    health: Health,
    is_checked: bool,
    /// Results in a row that contradict `health`.
    contradictions: u32,
}

/// A change of an endpoint's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The health before.
    pub from: Health,
    /// The health now; never equal to `from`.
    pub to: Health,
    /// The failure that brought it about ("connect: connection refused"); empty when it was a success.
    pub reason: String,
}

/// The first check comes within this share of the interval, spread at random: soon enough that a start is not held up,
/// and with 10,000 endpoints at 5 s still 20 checks a millisecond instead of all at once.
const FIRST_SHARE: u32 = 10;

impl HealthTracker {
    /// A tracker for an endpoint whose health so far is `health`.
    pub fn new(health: Health) -> Self {
        Self { health, is_checked: false, contradictions: 0 }
    }

    /// The health after all results so far.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Takes a check's result into account: success, or why it failed. Returns the change, if it is one.
    pub fn observe(&mut self, outcome: Result<(), &str>, policy: &HealthCheck) -> Option<Transition> {
        self.is_checked = true;
        let (opinion, threshold) = match outcome {
            Ok(()) => (Health::Healthy, policy.healthy_after),
            Err(_) => (Health::Unhealthy, policy.unhealthy_after),
        };
        if opinion == self.health {
            self.contradictions = 0;
            return None;
        }
        self.contradictions = self.contradictions.saturating_add(1);
        if self.health != Health::Starting && self.contradictions < threshold {
            return None;
        }
        self.contradictions = 0;
        let from = std::mem::replace(&mut self.health, opinion);
        Some(Transition { from, to: opinion, reason: outcome.err().unwrap_or_default().to_owned() })
    }

    /// How long to wait for the next check, from the end of the last one; for the first, from now.
    ///
    /// `interval_ms` as long as the endpoint is healthy and its last check said so, otherwise
    /// `unhealthy_interval_ms`; give or take `jitter_percent`, so that the checks of many endpoints and nodes drift
    /// apart instead of coming in volleys.
    pub fn next_delay(&self, policy: &HealthCheck, random: &mut Random) -> Duration {
        let is_settled = self.health == Health::Healthy && self.contradictions == 0;
        let interval =
            Duration::from_millis(if is_settled { policy.interval_ms } else { policy.unhealthy_interval_ms });
        if !self.is_checked {
            return random_below(interval / FIRST_SHARE, random);
        }
        let jitter = interval / 100 * u32::from(policy.jitter_percent.min(50));
        interval.saturating_sub(jitter) + random_below(jitter.saturating_mul(2), random)
    }
}

fn random_below(bound: Duration, random: &mut Random) -> Duration {
    // Durations come from milliseconds in 64 bits; one that overflows nanoseconds is over 500 years.
    Duration::from_nanos(random.below(u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Probe;
    use Health::{Healthy, Starting, Unhealthy};

    fn policy() -> HealthCheck {
        HealthCheck {
            probe: Probe::Tcp { send: None, expect: None },
            interval_ms: 5_000,
            unhealthy_interval_ms: 1_000,
            jitter_percent: 10,
            timeout_ms: 500,
            unhealthy_after: 3,
            healthy_after: 2,
            port: None,
        }
    }

    /// The health after each result; `+` is a success, `-` a failure.
    fn follow(health: Health, results: &str) -> Vec<Health> {
        let mut tracker = HealthTracker::new(health);
        let mut before = health;
        results
            .chars()
            .map(|result| {
                let outcome = if result == '+' { Ok(()) } else { Err("connect: connection refused") };
                let transition = tracker.observe(outcome, &policy());
                let now = tracker.health();
                let reason = if now == Unhealthy { "connect: connection refused" } else { "" };
                let expected = Transition { from: before, to: now, reason: reason.to_owned() };
                assert_eq!(transition, (now != before).then_some(expected));
                before = now;
                now
            })
            .collect()
    }

    #[test]
    fn results_in_a_row_decide() {
        for (from, results, expected) in [
            (Starting, "+", vec![Healthy]),
            (Starting, "-", vec![Unhealthy]),
            (Starting, "--+", vec![Unhealthy; 3]),
            (Healthy, "--+---", vec![Healthy, Healthy, Healthy, Healthy, Healthy, Unhealthy]),
            (Healthy, "----", vec![Healthy, Healthy, Unhealthy, Unhealthy]),
            (Unhealthy, "+-++-+", vec![Unhealthy, Unhealthy, Unhealthy, Healthy, Healthy, Healthy]),
        ] {
            assert_eq!(follow(from, results), expected, "{from:?} {results}");
        }
    }

    #[test]
    fn delays() {
        let mut random = Random::new(9);
        let mut delays = |tracker: &HealthTracker| {
            let delays: Vec<u128> =
                (0..1_000).map(|_| tracker.next_delay(&policy(), &mut random).as_millis()).collect();
            (*delays.iter().min().unwrap(), *delays.iter().max().unwrap())
        };
        let mut tracker = HealthTracker::new(Starting);
        assert_eq!(delays(&tracker), (0, 99), "first: a tenth of the shorter interval");
        tracker.observe(Ok(()), &policy());
        let (least, most) = delays(&tracker);
        assert!((4_500..4_520).contains(&least) && (5_480..5_500).contains(&most), "{least} {most}");
        for result in [Err("timeout"), Err("timeout"), Err("timeout"), Ok(())] {
            tracker.observe(result, &policy());
            let (least, most) = delays(&tracker);
            assert!((900..905).contains(&least) && (1_095..1_100).contains(&most), "{least} {most}");
        }
        tracker.observe(Ok(()), &policy());
        assert!(delays(&tracker).0 >= 4_500, "healthy again");
    }

    #[test]
    fn extreme_policies_do_not_overflow() {
        let policy = HealthCheck { interval_ms: u64::MAX, jitter_percent: 50, ..policy() };
        let mut tracker = HealthTracker::new(Healthy);
        tracker.observe(Ok(()), &policy);
        assert!(tracker.next_delay(&policy, &mut Random::new(1)) >= Duration::from_millis(u64::MAX / 2));
    }
}
