//! Success rate against the others': for endpoints that fail now and then, more often than their neighbours.
//!
//! An endpoint is an outlier when its rate is more than `factor` deviations below the others' median. The deviation is
//! the others' median absolute one, made comparable to a standard deviation; medians, because with few endpoints a
//! second bad one would move a mean and a variance so far that neither stands out.

use super::Reason;
use crate::document::OutlierDetection;

/// The deviation is taken to be at least this: rates of a healthy pool hardly differ, and a hundredth less would
/// be many times nothing. With Envoy's factor of 1.9 a rate must be 9.5 points below the others'.
const LEAST_DEVIATION: f64 = 0.05;

/// Of a normal distribution, the standard deviation in median absolute ones.
const NORMAL: f64 = 1.4826;

/// Who is an outlier, with why. `rates` are indices with success rates from 0 to 1, of endpoints with enough traffic.
pub fn outliers(rates: &[(usize, f64)], policy: &OutlierDetection) -> Vec<(usize, Reason)> {
    let factor = f64::from(policy.success_rate_stdev_factor_percent) / 100.0;
    if factor == 0.0 || rates.len() < policy.success_rate_minimum_hosts.max(2) as usize {
        return Vec::new();
    }
    let judged = rates.iter().filter_map(|(index, own)| {
        let others: Vec<f64> =
            rates.iter().filter(|(other, _)| other != index).map(|(_, rate)| *rate).collect();
        let middle = median(others.clone());
        let deviation = median(others.iter().map(|rate| (rate - middle).abs()).collect()) * NORMAL;
        let is_outlier = *own < middle - factor * deviation.max(LEAST_DEVIATION);
        is_outlier.then_some((*index, Reason::SuccessRate { own: *own, others: middle }))
    });
    judged.collect()
}

/// The middle value, or the mean of the two in the middle; 0 of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (0, 0) => 0.0,
        (half, 1) => values[half],
        (half, _) => f64::midpoint(values[half - 1], values[half]),
    }
}
