//! Latency against the others': gray failures, which answer rightly and far too late.
//!
//! An endpoint is slow when its mean latency is more than `factor` times the others' median of means, and the difference
//! is more than `latency_minimum`: a tenfold difference between microseconds bothers nobody.

use super::Reason;
use super::success_rate::median;
use crate::document::OutlierDetection;

/// Answers that make a mean. Fewer than for a success rate, as a slow endpoint's balancer may hardly ask it.
pub const VOLUME: u32 = 10;

/// Who is slow, with why. `means` are indices with mean latencies in microseconds, of endpoints with enough answers.
pub fn outliers(means: &[(usize, f64)], policy: &OutlierDetection) -> Vec<(usize, Reason)> {
    let factor = f64::from(policy.latency_factor_percent) / 100.0;
    if factor == 0.0 || means.len() < policy.success_rate_minimum_hosts.max(2) as usize {
        return Vec::new();
    }
    let least = policy.latency_minimum_ms as f64 * 1_000.0;
    let judged = means.iter().filter_map(|(index, own)| {
        let others =
            median(means.iter().filter(|(other, _)| other != index).map(|(_, mean)| *mean).collect());
        let is_slow = *own > others * factor && own - others > least;
        is_slow.then_some((*index, Reason::Latency { own: own / 1_000.0, others: others / 1_000.0 }))
    });
    judged.collect()
}
