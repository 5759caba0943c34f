//! How long each end of a pump may keep it waiting: no silence for too long, and no trickle.

use crate::worker::deadlines::Deadline;
use std::time::Duration;

/// Deadlines for both ends of a pump.
#[derive(Debug, Clone)]
pub struct Pace {
    source: Patience,
    sink: Patience,
    waiting: Option<Wait>,
}

/// What a pump waits for since when.
#[derive(Debug, Clone, Copy)]
struct Wait {
    is_for_source: bool,
    since: u64,
    due: u64,
}

/// How long one end may keep a pump waiting.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For each wait.
    pub idle: Duration,
    /// Bytes a second over the whole body, not counting the other end's time; 0: any.
    pub min_rate: u32,
    /// Waiting that the rate does not count.
    pub grace: Duration,
    waited: u64,
}

impl Patience {
    /// Only silence counts.
    pub fn idle(idle: Duration) -> Self {
        Self { idle, min_rate: 0, grace: Duration::ZERO, waited: 0 }
    }

    /// Silence counts, and so does an average below `min_rate` bytes a second after `grace`.
    pub fn paced(idle: Duration, min_rate: u32, grace: Duration) -> Self {
        Self { idle, min_rate, grace, waited: 0 }
    }

    /// When a wait that begins now is too long, for an end that has moved `bytes`.
    fn due(&self, deadline: &Deadline, bytes: u64) -> u64 {
        let silence = deadline.at(self.idle);
        if self.min_rate == 0 {
            return silence;
        }
        let earned = Duration::from_millis(bytes.saturating_mul(1000) / u64::from(self.min_rate));
        let allowed = deadline.at(earned.saturating_add(self.grace));
        silence.min(allowed.saturating_sub(self.waited))
    }
}

impl Pace {
    /// No wait yet.
    pub fn new(source: Patience, sink: Patience) -> Self {
        Self { source, sink, waiting: None }
    }

    /// Something moved.
    pub fn moved(&mut self, deadline: &Deadline) {
        if let Some(wait) = self.waiting.take() {
            let waited = deadline.at(Duration::ZERO).saturating_sub(wait.since);
            let end = if wait.is_for_source { &mut self.source } else { &mut self.sink };
            end.waited = end.waited.saturating_add(waited);
        }
    }

    /// Nothing moves; whether that is so for too long.
    pub fn is_late(&mut self, deadline: &Deadline, is_for_source: bool, bytes: u64) -> bool {
        let wait = match self.waiting {
            Some(wait) if wait.is_for_source == is_for_source => wait,
            _ => {
                let end = if is_for_source { &self.source } else { &self.sink };
                Wait { is_for_source, since: deadline.at(Duration::ZERO), due: end.due(deadline, bytes) }
            }
        };
        self.waiting = Some(wait);
        deadline.is_past(wait.due)
    }

    /// When the pump wants to be polled again at the latest.
    pub fn due(&self) -> u64 {
        self.waiting.map_or(u64::MAX, |wait| wait.due)
    }
}
