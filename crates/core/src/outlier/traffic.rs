//! What requests leave behind on an endpoint: counters that the judge takes away.

use super::consecutive::{self, Trip};
use crate::document::OutlierDetection;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// What a request, or an attempt at one, says of its endpoint. Each kind is also of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// An answer below 500; a connection, for tcp.
    Success,
    /// An answer from 500 on.
    ServerError,
    /// 502, 503 or 504: the endpoint, itself a gateway perhaps, cannot serve.
    GatewayFailure,
    /// No connection, or one that broke, or no answer in time.
    LocalOriginFailure,
}

/// Counters of one endpoint, over all workers.
///
/// Without order among them: a sweep that sees a request in one counter and not yet in another is off by one.
#[derive(Debug, Default)]
pub struct Traffic {
    answered: AtomicU32,
    failed: AtomicU32,
    micros: AtomicU64,
    /// In a row, by the kinds of [`Trip`].
    runs: [AtomicU32; 3],
    /// Runs that reached their limit since the last sweep: a success that follows must not hide them.
    trips: AtomicU8,
}

/// What was counted since the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Requests that said something of the endpoint.
    pub answered: u32,
    /// Of these, how many failed.
    pub failed: u32,
    /// The successes' times together, in microseconds.
    pub micros: u64,
    /// Which runs reached their limit.
    pub trips: u8,
}

impl Reading {
    /// Adds what came later.
    pub(super) fn add(&mut self, later: Self) {
        self.answered = self.answered.saturating_add(later.answered);
        self.failed = self.failed.saturating_add(later.failed);
        self.micros = self.micros.saturating_add(later.micros);
        self.trips |= later.trips;
    }

    /// Requests that did not fail.
    pub(super) fn successes(&self) -> u32 {
        self.answered.saturating_sub(self.failed)
    }

    /// From 0 to 1; 1 of none.
    pub(super) fn success_rate(&self) -> f64 {
        f64::from(self.successes().max(u32::from(self.answered == 0))) / f64::from(self.answered.max(1))
    }

    /// Of a success, in microseconds; 0 of none.
    pub(super) fn mean_micros(&self) -> f64 {
        self.micros as f64 / f64::from(self.successes().max(1))
    }
}

impl Outcome {
    /// What an answer's status says.
    pub fn of_status(status: u16) -> Self {
        match status {
            502..=504 => Self::GatewayFailure,
            500.. => Self::ServerError,
            _ => Self::Success,
        }
    }
}

impl Traffic {
    /// Counts an outcome; `nanos` is how long the endpoint took.
    pub fn observe(&self, outcome: Outcome, nanos: u64, policy: &OutlierDetection) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        if outcome == Outcome::Success {
            self.micros.fetch_add(nanos / 1_000, Ordering::Relaxed);
        } else {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        for trip in Trip::ALL {
            let run = &self.runs[trip as usize];
            if outcome < trip.least() {
                // A store takes the line from other cores, and most runs are empty.
                if run.load(Ordering::Relaxed) != 0 {
                    run.store(0, Ordering::Relaxed);
                }
            } else if consecutive::is_outlier(run.fetch_add(1, Ordering::Relaxed) + 1, trip.limit(policy)) {
                self.trips.fetch_or(trip.bit(), Ordering::Relaxed);
            }
        }
    }

    /// Counts a try that was cancelled after so long: nothing is known of its end, so that it ends no run of failures
    /// and begins none, but one who is always slower than others is to be found out.
    pub fn observe_slow(&self, nanos: u64) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(nanos / 1_000, Ordering::Relaxed);
    }

    /// Takes away what was counted.
    pub(super) fn take(&self) -> Reading {
        Reading {
            answered: self.answered.swap(0, Ordering::Relaxed),
            failed: self.failed.swap(0, Ordering::Relaxed),
            micros: self.micros.swap(0, Ordering::Relaxed),
            trips: self.trips.swap(0, Ordering::Relaxed),
        }
    }

    /// Begins all runs anew: what led to an ejection does not count again after it.
    pub(super) fn forget_runs(&self) {
        self.runs.iter().for_each(|run| run.store(0, Ordering::Relaxed));
        self.trips.store(0, Ordering::Relaxed);
    }
}
