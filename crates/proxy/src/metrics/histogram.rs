//! Latency histograms with fixed bounds, so that those of all workers add up.

/// Upper bounds of the buckets, in nanoseconds: what a proxy on the same host takes up to what a client waits for.
/// Each is at least twice the one before, so that between two powers of two there lies at most one.
pub const BOUNDS: [u64; 15] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
    60_000_000_000,
];

/// [`BOUNDS`] in seconds, as the exposition writes them, and the bucket above all.
pub const LABELS: [&str; BUCKETS] = [
    "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5",
    "1", "5", "60", "+Inf",
];

/// One bucket for each bound and one above.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// By the number of significant bits of a duration: the first bucket that it can fall into.
const FIRST_BUCKET: [u8; 65] = first_buckets();

const fn first_buckets() -> [u8; 65] {
    let mut table = [0; 65];
    let mut bits = 0;
    while bits <= 64 {
        let smallest = if bits == 0 { 0 } else { 1_u64 << (bits - 1) };
        while (table[bits] as usize) < BOUNDS.len() && smallest > BOUNDS[table[bits] as usize] {
            table[bits] += 1;
        }
        bits += 1;
    }
    table
}

/// Counts by duration. Every worker has its own; [`Histogram::merge`] sums them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; BUCKETS],
    sum_nanos: u64,
}

impl Histogram {
    /// Counts a duration in nanoseconds.
    pub fn observe(&mut self, nanos: u64) {
        self.buckets[bucket(nanos)] += 1;
        self.sum_nanos = self.sum_nanos.wrapping_add(nanos);
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(mine, theirs)| *mine += theirs);
        self.sum_nanos = self.sum_nanos.wrapping_add(other.sum_nanos);
    }

    /// Counts of the buckets, not cumulative.
    pub fn buckets(&self) -> &[u64; BUCKETS] {
        &self.buckets
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their sum, in nanoseconds. Wraps after 584 years of waiting.
    pub fn sum_nanos(&self) -> u64 {
        self.sum_nanos
    }
}

/// The bucket of a duration, by its highest bit and one comparison instead of a search.
fn bucket(nanos: u64) -> usize {
    let first = FIRST_BUCKET[(64 - nanos.leading_zeros()) as usize] as usize;
    first + usize::from(BOUNDS.get(first).is_some_and(|bound| nanos > *bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_falls_under_the_first_bound_that_is_not_below_it() {
        let near = BOUNDS.iter().flat_map(|bound| [bound - 1, *bound, bound + 1]);
        let powers = (0..64).flat_map(|bit| [1 << bit, (1_u64 << bit) - 1]);
        for nanos in near.chain(powers).chain([0, u64::MAX]) {
            let searched = BOUNDS.iter().position(|bound| nanos <= *bound).unwrap_or(BOUNDS.len());
            assert_eq!(bucket(nanos), searched, "{nanos}");
        }
    }

    #[test]
    fn labels_are_the_bounds_in_seconds() {
        for (bound, label) in BOUNDS.iter().zip(LABELS) {
            let seconds: f64 = label.parse().unwrap();
            #[allow(clippy::cast_precision_loss, reason = "whole numbers below 2^53")]
            let nanos = *bound as f64;
            assert!((seconds * 1e9 - nanos).abs() < 1e-3, "{label}");
        }
        assert_eq!(LABELS[BUCKETS - 1], "+Inf");
    }

    #[test]
    fn bounds_at_least_double() {
        assert!(BOUNDS.windows(2).all(|pair| pair[1] >= 2 * pair[0]));
    }

    #[test]
    fn merging_adds_counts_and_sums() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        one.observe(1);
        other.observe(2_000_000_000);
        one.merge(&other);
        assert_eq!((one.count(), one.sum_nanos(), one.buckets()[13]), (2, 2_000_000_001, 1));
    }
}
