//! One endpoint's state machine.
//!
//! | verdict | what happens | becomes |
//! |---|---|---|
//! | admitted | an outlier by failures | ejected, for base × (ejections in a row), at most max |
//! | admitted, degraded | slow in an interval | degraded by one step: 1/2, 1/4, 1/10 of its traffic |
//! | degraded, last step | slow once more | ejected |
//! | degraded | not slow, or too little asked to say | one step back; from the first one, admitted |
//! | ejected | its time is over | probation: a tenth of its traffic |
//! | ejected | nobody else in the pool is left | probation, at once |
//! | probation | an outlier, or a tenth of its requests fails and more than one | ejected, for longer |
//! | probation | its time is over | admitted, through slow start if the pool has one |
//!
//! After each `base_ejection_time` that an endpoint is admitted, one of its ejections in a row is forgotten.

use super::Reason;
use super::traffic::Reading;
use crate::document::OutlierDetection;
use crate::pool::Nanos;

/// An endpoint's whole share of its weight. A power of two, so that the hash balancers' tables, which are sized in
/// powers of two, keep their keys where they are.
pub const FULL_SHARE: u32 = 128;

/// The shares of a slow endpoint, step by step.
const DEGRADED: [u32; 3] = [FULL_SHARE / 2, FULL_SHARE / 4, FULL_SHARE / 10];

/// In probation.
const PROBATION: u32 = FULL_SHARE / 10;

/// Failures in probation that are needed beside their share: a single one is no evidence.
const PROBATION_FAILURES: u32 = 2;

const MS: Nanos = 1_000_000;

/// What traffic says of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All of its traffic.
    Admitted,
    /// Less traffic, by steps from 0: it is slow.
    Degraded(u8),
    /// None, until then.
    Ejected {
        /// When.
        until: Nanos,
    },
    /// A little, until then.
    Probation {
        /// When.
        until: Nanos,
    },
}

/// An endpoint's state and what led to it. Kept on the endpoint, so that it is carried over reloads.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    verdict: Verdict,
    reason: Option<Reason>,
    /// Ejections in a row, which make the next one longer.
    in_a_row: u32,
    /// When one of them is forgotten.
    decays_at: Nanos,
    /// How often it was ejected, by the places of [`Reason::NAMES`].
    pub ejections: [u64; Reason::NAMES.len()],
    /// Ejections that did not happen, because too many were ejected already.
    pub spared: u64,
    /// What was counted since the last look at success rates, and since when.
    pub(super) rates: (Reading, Nanos),
    /// The same for latencies, and in probation.
    pub(super) times: (Reading, Nanos),
    /// Slow start; see `slow_start.rs`.
    pub(crate) ramp: crate::slow_start::Ramp,
}

impl Standing {
    /// Of a new endpoint, which gets traffic from the beginning if it `is_usable`.
    pub fn new(is_usable: bool) -> Self {
        Self {
            verdict: Verdict::Admitted,
            reason: None,
            in_a_row: 0,
            decays_at: 0,
            ejections: [0; Reason::NAMES.len()],
            spared: 0,
            rates: Default::default(),
            times: Default::default(),
            ramp: crate::slow_start::Ramp::new(is_usable),
        }
    }

    /// The state.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// What led to it; `None` when it is admitted.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// Ejections in a row, for a successor.
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// Its share by the verdict alone, of [`FULL_SHARE`]; an ejected one's matters in panic only.
    pub fn share(&self) -> u32 {
        match self.verdict {
            Verdict::Admitted | Verdict::Ejected { .. } => FULL_SHARE,
            Verdict::Degraded(step) => DEGRADED[usize::from(step).min(DEGRADED.len() - 1)],
            Verdict::Probation { .. } => PROBATION,
        }
    }

    /// Whether it gets no traffic.
    pub fn is_ejected(&self) -> bool {
        matches!(self.verdict, Verdict::Ejected { .. })
    }

    /// Ejects it.
    pub fn eject(&mut self, reason: Reason, now: Nanos, policy: &OutlierDetection) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let length = (policy.base_ejection_time_ms.saturating_mul(self.in_a_row.into()))
            .min(policy.max_ejection_time_ms.max(policy.base_ejection_time_ms));
        self.ejections[reason.index()] += 1;
        self.become_(
            Verdict::Ejected { until: now.saturating_add(length.saturating_mul(MS)) },
            Some(reason),
            now,
        );
    }

    /// Ejected by a predecessor process, for so long still.
    pub fn inherit(&mut self, until: Nanos, in_a_row: u32, now: Nanos) {
        self.in_a_row = in_a_row;
        self.become_(Verdict::Ejected { until }, Some(Reason::Inherited), now);
    }

    /// Lets an ejected one back on probation.
    pub(super) fn try_again(&mut self, now: Nanos, policy: &OutlierDetection) {
        let until = now.saturating_add(policy.probation_ms.saturating_mul(MS));
        self.become_(Verdict::Probation { until }, self.reason, now);
    }

    /// Everything is forgiven: its pool judges by traffic no more.
    pub(super) fn acquit(&mut self, now: Nanos) {
        self.in_a_row = 0;
        self.become_(Verdict::Admitted, None, now);
    }

    /// What time alone changes.
    pub(super) fn pass_time(&mut self, now: Nanos, policy: &OutlierDetection) {
        match self.verdict {
            Verdict::Ejected { until } if now >= until => self.try_again(now, policy),
            Verdict::Probation { until } if now >= until => {
                self.become_(Verdict::Admitted, None, now);
                self.decays_at = now.saturating_add(policy.base_ejection_time_ms.saturating_mul(MS));
            }
            Verdict::Admitted if self.in_a_row > 0 && now >= self.decays_at => {
                self.in_a_row -= 1;
                self.decays_at = now.saturating_add(policy.base_ejection_time_ms.saturating_mul(MS));
            }
            _ => {}
        }
    }

    /// Whether its requests in probation are reason enough to eject it again.
    pub(super) fn fails_probation(&self) -> Option<Reason> {
        let Reading { answered, failed, .. } = self.times.0;
        let is_on_probation = matches!(self.verdict, Verdict::Probation { .. });
        let fails = is_on_probation && failed >= PROBATION_FAILURES && failed.saturating_mul(10) >= answered;
        fails.then_some(Reason::Probation { failed, answered })
    }

    /// It was slow in an interval: gets less traffic; true when there is nothing less left but none.
    pub(super) fn degrade(&mut self, reason: Reason, now: Nanos) -> bool {
        match self.verdict {
            Verdict::Admitted => self.become_(Verdict::Degraded(0), Some(reason), now),
            Verdict::Degraded(step) if usize::from(step) + 1 < DEGRADED.len() => {
                self.become_(Verdict::Degraded(step + 1), Some(reason), now);
            }
            Verdict::Degraded(_) | Verdict::Probation { .. } => return true,
            Verdict::Ejected { .. } => {}
        }
        false
    }

    /// It was not slow: gets more traffic again.
    pub(super) fn improve(&mut self, now: Nanos) {
        match self.verdict {
            Verdict::Degraded(0) => self.become_(Verdict::Admitted, None, now),
            Verdict::Degraded(step) => self.become_(Verdict::Degraded(step - 1), self.reason, now),
            _ => {}
        }
    }

    /// Its name among the endpoint's states; empty where the health says it all.
    pub fn name(&self) -> &'static str {
        match self.verdict {
            Verdict::Admitted => "",
            Verdict::Degraded(_) => "degraded",
            Verdict::Ejected { .. } => "ejected",
            Verdict::Probation { .. } => "probation",
        }
    }

    /// For people, as it looks at `now`: "5 consecutive gateway errors, ejected for another 12 s".
    pub fn explain(&self, now: Nanos) -> String {
        let why = self.reason.map(|reason| reason.to_string()).unwrap_or_default();
        let seconds = |until: Nanos| until.saturating_sub(now).div_ceil(1_000 * MS);
        match self.verdict {
            Verdict::Admitted => String::new(),
            Verdict::Degraded(_) => {
                format!("{why}, gets {} % of its traffic", self.share() * 100 / FULL_SHARE)
            }
            Verdict::Ejected { until } => format!("{why}, for {} s", seconds(until)),
            Verdict::Probation { until } => {
                format!(
                    "{why}, gets {} % of its traffic for {} s",
                    self.share() * 100 / FULL_SHARE,
                    seconds(until)
                )
            }
        }
    }

    fn become_(&mut self, verdict: Verdict, reason: Option<Reason>, now: Nanos) {
        (self.verdict, self.reason) = (verdict, reason);
        // What came before the change says nothing of what follows it.
        self.rates = (Reading::default(), now);
        self.times = (Reading::default(), now);
    }
}
