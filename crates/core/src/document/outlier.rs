//! Outlier detection as the document states it.

use serde::Deserialize;

/// When live traffic takes an endpoint out of a pool, and for how long. The names are Envoy's where it has one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutlierDetection {
    /// Between two looks at success rates and latencies.
    pub interval_ms: u64,
    /// Server errors in a row, gateway failures and connect failures among them; 0 turns it off.
    pub consecutive_5xx: u32,
    /// Answers 502, 503 and 504, and failures of the connection, in a row; 0 turns it off.
    pub consecutive_gateway_failure: u32,
    /// Connect failures, resets and timeouts in a row; 0 turns it off.
    pub consecutive_local_origin_failure: u32,
    /// How many deviations a success rate may be below the others', in percent of one; 0 turns it off.
    pub success_rate_stdev_factor_percent: u32,
    /// Endpoints with enough traffic that it takes to compare them, success rates and latencies alike.
    pub success_rate_minimum_hosts: u32,
    /// Requests in an interval that make a success rate.
    pub success_rate_request_volume: u32,
    /// How many times the others' median a mean latency may be, in percent; 0 turns it off.
    pub latency_factor_percent: u32,
    /// Differences of latency below this are no anomaly.
    pub latency_minimum_ms: u64,
    /// The first ejection's length; the n-th in a row is n times as long.
    pub base_ejection_time_ms: u64,
    /// The longest.
    pub max_ejection_time_ms: u64,
    /// Share of the endpoints that may be ejected at once; one may always be, and one other must be left.
    pub max_ejection_percent: u8,
    /// How long an endpoint gets a tenth of its traffic after an ejection.
    pub probation_ms: u64,
}
