//! What requests leave behind of their response times: counters that the sweep takes away.

use crate::buckets::{BUCKETS, bucket, percentile};
use std::sync::atomic::{AtomicU32, Ordering};

/// Response times without which a median is left to chance. A pool with fewer in a tenth of a second is looked at less
/// often.
const ENOUGH: u32 = 20;

/// Response times since the last sweep, over all workers.
///
/// Without order among them: a sweep that sees a response in its bucket and not yet in the count is off by one.
#[derive(Debug)]
pub struct Samples {
    count: AtomicU32,
    buckets: Box<[AtomicU32; BUCKETS]>,
}

impl Default for Samples {
    fn default() -> Self {
        Self { count: AtomicU32::new(0), buckets: Box::new([const { AtomicU32::new(0) }; BUCKETS]) }
    }
}

impl Samples {
    /// A response took so long.
    #[inline]
    pub fn observe(&self, nanos: u64) {
        self.buckets[bucket(nanos / 1_000)].fetch_add(1, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes away what was counted, if that is enough: how many, and their median in microseconds. Of times the median,
    /// as a few requests of another kind are not to move it.
    pub fn take(&self) -> Option<(u32, u64)> {
        if self.count.load(Ordering::Relaxed) < ENOUGH {
            return None;
        }
        self.count.store(0, Ordering::Relaxed);
        let taken: Vec<u64> =
            self.buckets.iter().map(|one| u64::from(one.swap(0, Ordering::Relaxed))).collect();
        let count: u64 = taken.iter().sum();
        Some((u32::try_from(count).unwrap_or(u32::MAX), percentile(taken.into_iter(), count, 500)))
    }
}
