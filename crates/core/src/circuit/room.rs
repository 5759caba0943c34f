//! How many requests a pool has under way, or wait for a connection to an endpoint, where that is limited.

use crate::pool::Padded;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A count and its bound, as one worker holds them. Only [`crate::pool::Lease`] counts in and out.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    under_way: Arc<Padded<AtomicU32>>,
    most: Most,
}

#[derive(Debug, Clone)]
enum Most {
    Fixed(u32),
    /// Written a few times a second.
    Moving(Arc<Padded<AtomicU32>>),
}

impl Most {
    #[inline]
    fn now(&self) -> u32 {
        match self {
            Self::Fixed(most) => *most,
            Self::Moving(most) => most.0.load(Ordering::Relaxed),
        }
    }
}

impl Room {
    pub(super) fn new(under_way: Arc<Padded<AtomicU32>>, most: u32) -> Self {
        Self { under_way, most: Most::Fixed(most) }
    }

    /// A room whose bound is not always the same.
    pub(crate) fn moving(under_way: Arc<Padded<AtomicU32>>, most: Arc<Padded<AtomicU32>>) -> Self {
        Self { under_way, most: Most::Moving(most) }
    }

    /// Counts a request in unless as many are under way as may be; says whether it did. Counted first and looked at then, as at an
    /// endpoint: workers that come at the same moment cannot exceed it together.
    #[inline]
    pub fn count_in(&self) -> bool {
        let is_in = self.under_way.0.fetch_add(1, Ordering::Relaxed) < self.most.now();
        if !is_in {
            self.count_out();
        }
        is_in
    }

    /// Counts a request out.
    #[inline]
    pub fn count_out(&self) {
        self.under_way.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether one more would fit at this moment.
    pub fn has_room(&self) -> bool {
        self.under_way.0.load(Ordering::Relaxed) < self.most.now()
    }
}
