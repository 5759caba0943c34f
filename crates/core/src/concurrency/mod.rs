//! Adaptive concurrency: how many requests a pool can take at once, found out from how long its responses take.
//!
//! ```text
//! leases ── Room ──> as many as the limit says; the others wait in the pool's queue, or get 503
//! response times ── Samples ──> ten times a second ── Gradient ──> the limit
//! ```
//!
//! * [`Gradient`] decides: plain state, times come in. The service thread sweeps it.
//! * [`Samples`] is what requests leave behind; `Room` is what bounds them, as for `max_requests`.
//! * [`Concurrency`] puts them together for one pool, and is carried over reloads.
//!
//! The idea is that of TCP Vegas: a queue somewhere in the pool shows in the response times before anything fails. Prior
//! art: Netflix' concurrency-limits (`GradientLimit`), Envoy's adaptive concurrency filter.

mod gradient;
mod samples;

pub use gradient::{Gradient, Window};
pub use samples::Samples;

use crate::circuit::Room;
use crate::document::{AdaptiveConcurrency, DocumentError};
use crate::pool::{Nanos, Padded};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Below 105 % the scatter of the response times alone would hold the limit down.
const LEAST_TOLERANCE: u32 = 105;

/// A pool's limit: its settings, which are the snapshot's, and its state, which all threads and snapshots share.
#[derive(Debug, Clone)]
pub struct Concurrency {
    policy: AdaptiveConcurrency,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Read by every request.
    limit: Arc<Padded<AtomicU32>>,
    /// Written by every request.
    under_way: Arc<Padded<AtomicU32>>,
    samples: Samples,
    /// Nobody on the packet path takes the lock.
    gradient: Mutex<Gradient>,
}

/// How a pool's limit stands, for people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// Requests that may be under way.
    pub limit: u32,
    /// Requests that are.
    pub under_way: u32,
    /// How long responses take without load, in nanoseconds; `None` if that is not known yet.
    pub unloaded: Option<Nanos>,
    /// How long they took last.
    pub last: Option<Nanos>,
}

impl Concurrency {
    /// Checks a document's policy. Error paths are relative to it.
    ///
    /// # Errors
    /// The first value that cannot be meant as it stands.
    pub fn check(policy: &AdaptiveConcurrency) -> Result<(), DocumentError> {
        if policy.min_limit == 0 {
            return Err(DocumentError::new("min_limit", "must be at least 1"));
        }
        if policy.max_limit < policy.min_limit {
            return Err(DocumentError::new("max_limit", "must be at least min_limit"));
        }
        if policy.tolerance_percent < LEAST_TOLERANCE {
            let message = format!("must be at least {LEAST_TOLERANCE}");
            return Err(DocumentError::new("tolerance_percent", message));
        }
        Ok(())
    }

    /// The limit of a pool; `previous` is the one that it had.
    pub fn new(policy: &AdaptiveConcurrency, previous: Option<&Self>) -> Self {
        let shared = previous.map_or_else(
            || {
                let gradient = Gradient::new(policy);
                Arc::new(Shared {
                    limit: Arc::new(Padded(AtomicU32::new(gradient.limit()))),
                    under_way: Arc::default(),
                    samples: Samples::default(),
                    gradient: Mutex::new(gradient),
                })
            },
            |previous| Arc::clone(&previous.shared),
        );
        Self { policy: policy.clone(), shared }
    }

    /// A response took so long.
    #[inline]
    pub fn observe(&self, nanos: u64) {
        self.shared.samples.observe(nanos);
    }

    /// Takes into account what happened since the last time. Ten times a second, by one thread.
    pub fn sweep(&self, now: Nanos) {
        let mut gradient = self.gradient();
        let window = self.shared.samples.take().map(|(count, median)| Window {
            count,
            median,
            under_way: self.shared.under_way.0.load(Ordering::Relaxed),
        });
        let limit = gradient.sweep(window, &self.policy, now);
        self.shared.limit.0.store(limit, Ordering::Relaxed);
    }

    /// How it stands.
    pub fn report(&self) -> Report {
        let gradient = self.gradient();
        Report {
            limit: self.shared.limit.0.load(Ordering::Relaxed),
            under_way: self.shared.under_way.0.load(Ordering::Relaxed),
            unloaded: gradient.unloaded().map(|micros| micros * 1_000),
            last: gradient.last().map(|micros| micros * 1_000),
        }
    }

    /// The room for requests.
    pub(crate) fn room(&self) -> Room {
        Room::moving(Arc::clone(&self.shared.under_way), Arc::clone(&self.shared.limit))
    }

    /// Whether there is none left.
    pub(crate) fn is_full(&self) -> bool {
        self.shared.under_way.0.load(Ordering::Relaxed) >= self.shared.limit.0.load(Ordering::Relaxed)
    }

    fn gradient(&self) -> MutexGuard<'_, Gradient> {
        // A gradient is changed by whole stores, so a panic of the lock's holder leaves it usable.
        self.shared.gradient.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
