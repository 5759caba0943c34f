//! Who may be connected: a count for all and one for each listener, as guards that count themselves out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A counter that all workers write, alone on its cache line (two, as processors fetch pairs).
#[derive(Default)]
#[repr(align(128))]
struct Count(AtomicU32);

/// Connections of the whole process.
#[derive(Default)]
pub struct Permits {
    open: Count,
    most: AtomicU32,
}

impl Permits {
    /// Changes the limit; connections above it stay.
    pub fn limit(&self, most: u32) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Client connections that are open.
    pub fn open(&self) -> u32 {
        self.open.0.load(Ordering::Relaxed)
    }
}

/// Connections of one listener, which keeps its count over reloads.
pub struct ListenerPermits {
    open: Count,
    most: AtomicU32,
    all: Arc<Permits>,
}

impl ListenerPermits {
    /// No connection yet.
    pub fn new(most: u32, all: Arc<Permits>) -> Arc<Self> {
        Arc::new(Self { open: Count::default(), most: AtomicU32::new(most), all })
    }

    /// Changes the limit; connections above it stay.
    pub fn limit(&self, most: u32) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Client connections that are open on this listener.
    pub fn open(&self) -> u32 {
        self.open.0.load(Ordering::Relaxed)
    }

    /// Counts a connection in, unless the listener or the process is at its limit.
    pub fn acquire(self: &Arc<Self>) -> Option<Permit> {
        if !count_in(&self.all.open.0, self.all.most.load(Ordering::Relaxed)) {
            return None;
        }
        if !count_in(&self.open.0, self.most.load(Ordering::Relaxed)) {
            self.all.open.0.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Permit { listener: Arc::clone(self) })
    }
}

/// Adds one unless that would go above `most`, also when several workers try at once.
fn count_in(count: &AtomicU32, most: u32) -> bool {
    if count.fetch_add(1, Ordering::Relaxed) < most {
        return true;
    }
    count.fetch_sub(1, Ordering::Relaxed);
    false
}

/// One counted connection.
pub struct Permit {
    listener: Arc<ListenerPermits>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.listener.open.0.fetch_sub(1, Ordering::Relaxed);
        self.listener.all.open.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_counts_out_when_dropped_and_both_limits_hold() {
        let all = Arc::new(Permits::default());
        all.limit(3);
        let web = ListenerPermits::new(2, Arc::clone(&all));
        let api = ListenerPermits::new(2, Arc::clone(&all));
        let held: Vec<_> = [web.acquire(), web.acquire(), api.acquire()].into_iter().flatten().collect();
        assert_eq!(held.len(), 3);
        assert!(web.acquire().is_none(), "the listener is full");
        assert!(api.acquire().is_none(), "the process is full");
        assert_eq!((web.open(), api.open(), all.open()), (2, 1, 3));
        drop(held);
        assert_eq!((web.open(), api.open(), all.open()), (0, 0, 0));
    }
}
