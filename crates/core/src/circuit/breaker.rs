//! When a circuit opens, how long it stays open, and what closes it again.

use super::gate::Trial;
use super::window::{Reading, Window};
use crate::document::CircuitBreaker;
use crate::pool::Nanos;

/// Where a circuit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Phase {
    /// All requests are let in, and counted.
    #[default]
    Closed = 0,
    /// A few are let in, to see how they end.
    HalfOpen = 1,
    /// None is let in.
    Open = 2,
}

/// A change of phase.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the type's line says it")]
pub struct Transition {
    pub from: Phase,
    pub to: Phase,
    /// Why.
    pub reason: String,
}

/// The state of a circuit. Its settings come with each call, as a reload may change them.
#[derive(Debug, Default)]
pub struct Breaker {
    phase: Phase,
    reason: String,
    window: Window,
    /// When an open circuit becomes half-open; 0 in the other phases.
    until: Nanos,
    /// How often it has opened since it was closed.
    openings: u32,
    /// Probes that must succeed, as they were when it became half-open.
    probes: u16,
    transitions: [u64; Phase::ALL.len()],
}

const MILLISECOND: Nanos = 1_000_000;

impl Phase {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    /// As the API, the metrics and the logs write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

impl Breaker {
    /// Takes into account what ended since the last sweep and what the probes brought; at most one transition follows.
    pub fn sweep(
        &mut self,
        reading: Reading,
        trial: Trial,
        policy: &CircuitBreaker,
        now: Nanos,
    ) -> Option<Transition> {
        if policy.failure_rate_percent == 0 {
            return (self.phase != Phase::Closed).then(|| self.close("turned off".to_owned()));
        }
        match self.phase {
            Phase::Closed => {
                let window = policy.window_ms.saturating_mul(MILLISECOND);
                let held = self.window.add(reading, window, now);
                let is_over = u64::from(held.failed) * 100
                    >= u64::from(policy.failure_rate_percent) * u64::from(held.ended);
                let is_enough = held.ended >= policy.minimum_requests.max(1);
                (is_enough && is_over).then(|| {
                    let (percent, ended) = (held.failure_percent(), held.ended);
                    self.open(format!("{percent}% of {ended} requests failed"), policy, now)
                })
            }
            Phase::Open => (now >= self.until).then(|| self.half_open(policy)),
            Phase::HalfOpen if trial.failed > 0 => Some(self.open("a probe failed".to_owned(), policy, now)),
            Phase::HalfOpen if trial.succeeded >= self.probes => {
                let all = if self.probes == 1 { "the probe" } else { "all probes" };
                Some(self.close(format!("{all} succeeded")))
            }
            Phase::HalfOpen => None,
        }
    }

    /// Only counts what ended since the last sweep: no transition follows. For a closed one.
    pub fn count(&mut self, reading: Reading, policy: &CircuitBreaker, now: Nanos) {
        self.window.add(reading, policy.window_ms.saturating_mul(MILLISECOND), now);
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Why it is there; empty while it is closed.
    pub fn reason(&self) -> &str {
        if self.phase == Phase::Closed { "" } else { &self.reason }
    }

    /// When it becomes half-open; 0 unless it is open.
    pub fn until(&self) -> Nanos {
        self.until
    }

    /// Probes of the present or the last trial.
    pub fn probes(&self) -> u16 {
        self.probes
    }

    /// Requests of the window.
    pub fn reading(&self, now: Nanos) -> Reading {
        self.window.at(now)
    }

    /// How often it came into each of [`Phase::ALL`].
    pub fn transitions(&self) -> [u64; Phase::ALL.len()] {
        self.transitions
    }

    fn open(&mut self, reason: String, policy: &CircuitBreaker, now: Nanos) -> Transition {
        let longest = policy.max_open_time_ms.max(policy.base_open_time_ms);
        let doubled = 1_u64.checked_shl(self.openings.min(63)).unwrap_or(u64::MAX);
        let time = policy.base_open_time_ms.saturating_mul(doubled).min(longest);
        self.openings = self.openings.saturating_add(1);
        self.until = now.saturating_add(time.saturating_mul(MILLISECOND));
        let seconds = time as f64 / 1_000.0;
        self.enter(Phase::Open, format!("{reason}, for {seconds} s"))
    }

    fn half_open(&mut self, policy: &CircuitBreaker) -> Transition {
        self.until = 0;
        self.probes = policy.half_open_requests.max(1);
        self.enter(Phase::HalfOpen, "its time is over".to_owned())
    }

    /// Closes it; what was, is forgotten.
    pub(super) fn close(&mut self, reason: String) -> Transition {
        self.until = 0;
        self.openings = 0;
        self.enter(Phase::Closed, reason)
    }

    fn enter(&mut self, to: Phase, reason: String) -> Transition {
        let from = std::mem::replace(&mut self.phase, to);
        self.window.clear();
        self.transitions[to as usize] += 1;
        self.reason.clone_from(&reason);
        Transition { from, to, reason }
    }
}
