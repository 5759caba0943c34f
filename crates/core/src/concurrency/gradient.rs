//! From response times to a limit.
//!
//! ```text
//! gradient = tolerance × unloaded time / present time, from 1/2 to 1
//! limit    → limit × gradient + √limit
//! ```
//!
//! While responses take no longer than they may, the limit grows by its root, which is the room that a burst needs to show
//! whether more can be carried; when they do, it shrinks in proportion, and where both meet it stays. The root is also why it
//! never falls to nothing.
//!
//! The unloaded time is the shortest median of the last 30 to 60 seconds. Under load that never ceases every median has a
//! queue in it, and the shortest of them would creep up, and the limit with it; so when a period of 30 seconds went by
//! without a calm moment, the limit is halved for some windows, which is below what the pool carries without a queue.

use crate::document::AdaptiveConcurrency;
use crate::pool::Nanos;

/// The first limit; it is found out within seconds whether it is too small.
const FIRST: u32 = 20;

/// How far a window moves the limit towards what it says: one pause of a tenth of a second costs a tenth of it.
const SMOOTHING: f64 = 0.2;

/// The least that a window can say.
const STEEPEST: f64 = 0.5;

/// After one to two of these a shortest time is forgotten: what has become slower for good is normal then.
const PERIOD: Nanos = 30_000_000_000;

/// Windows with half the limit. In the first, responses still come that had waited.
const CALM_WINDOWS: u32 = 4;

/// What came between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Responses.
    pub count: u32,
    /// The median of their times in microseconds.
    pub median: u64,
    /// Requests under way at its end.
    pub under_way: u32,
}

/// The state of a pool's limit.
#[derive(Debug, Clone)]
pub struct Gradient {
    limit: f64,
    /// The shortest median of this period, and of the one before.
    shortest: Option<u64>,
    shortest_before: Option<u64>,
    period_began: Nanos,
    /// Whether less than half of the limit was used in some window of this period.
    was_calm: bool,
    /// Windows with half the limit that are left.
    calming: u32,
    last: Option<u64>,
}

impl Gradient {
    /// One that knows nothing yet.
    pub fn new(policy: &AdaptiveConcurrency) -> Self {
        Self {
            limit: f64::from(FIRST.clamp(policy.min_limit, policy.max_limit.max(policy.min_limit))),
            shortest: None,
            shortest_before: None,
            period_began: 0,
            was_calm: false,
            calming: 0,
            last: None,
        }
    }

    /// Takes a window into account, if there is one; the limit from now on.
    pub fn sweep(&mut self, window: Option<Window>, policy: &AdaptiveConcurrency, now: Nanos) -> u32 {
        self.pass_time(now);
        if let Some(window) = window {
            self.look(window, policy);
        }
        self.limit = self.limit.clamp(f64::from(policy.min_limit), f64::from(policy.max_limit));
        self.limit().max(policy.min_limit)
    }

    /// The limit.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is clamped to a u32's bounds"
    )]
    pub fn limit(&self) -> u32 {
        let limit = if self.calming > 0 { self.limit / 2.0 } else { self.limit };
        limit.round() as u32
    }

    /// How long responses take without load, in microseconds.
    pub fn unloaded(&self) -> Option<u64> {
        self.shortest.into_iter().chain(self.shortest_before).min()
    }

    /// How long they took in the last window.
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    fn look(&mut self, window: Window, policy: &AdaptiveConcurrency) {
        let median = window.median.max(1);
        self.last = Some(median);
        self.shortest = Some(self.shortest.map_or(median, |shortest| shortest.min(median)));
        if self.calming > 0 {
            // It is no measure of the limit that it does not have.
            self.calming -= 1;
            return;
        }
        let is_pressed = f64::from(window.under_way) * 2.0 >= self.limit;
        self.was_calm |= !is_pressed;
        let unloaded = self.unloaded().unwrap_or(median) as f64;
        let tolerance = f64::from(policy.tolerance_percent) / 100.0;
        let gradient = (tolerance * unloaded / median as f64).clamp(STEEPEST, 1.0);
        let wanted = self.limit * gradient + self.limit.sqrt();
        // What is not used says nothing of whether more could be.
        let wanted = if is_pressed { wanted } else { wanted.min(self.limit) };
        self.limit += (wanted - self.limit) * SMOOTHING;
    }

    fn pass_time(&mut self, now: Nanos) {
        if now.saturating_sub(self.period_began) < PERIOD {
            return;
        }
        // Of a first period that began with the process nothing may be known, and then nothing is forgotten.
        if self.shortest.is_some() {
            self.shortest_before = self.shortest.take();
            if !self.was_calm {
                self.calming = CALM_WINDOWS;
            }
        }
        self.was_calm = false;
        self.period_began = now;
    }
}
