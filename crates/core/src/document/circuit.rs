//! What a pool is spared, as the document states it.

use super::present;
use serde::Deserialize;

/// When a pool is spared all requests because too many fail, and how many it gets at once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CircuitBreaker {
    /// Share of the requests in the window that must have failed for the circuit to open; 0: it never does.
    pub failure_rate_percent: u8,
    /// How far back requests count.
    pub window_ms: u64,
    /// Requests in the window without which no share is taken.
    pub minimum_requests: u32,
    /// How long the circuit is open the first time; twice as long each time that it opens again without having closed.
    pub base_open_time_ms: u64,
    /// How long it is open at most.
    pub max_open_time_ms: u64,
    /// Requests that are let through to see whether the pool is well again; all of them must succeed.
    pub half_open_requests: u16,
    /// Requests (tcp: connections, udp: sessions) that the pool gets at once, over all workers, or `null` for no limit.
    #[serde(deserialize_with = "present")]
    pub max_requests: Option<u32>,
}

/// How a pool's limit of requests under way is found out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveConcurrency {
    /// The limit is never below this; at least 1.
    pub min_limit: u32,
    /// The limit is never above this.
    pub max_limit: u32,
    /// How much slower than without load responses may be, in percent of that: 150 is half as long again. At least 105.
    pub tolerance_percent: u32,
}
