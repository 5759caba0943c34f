//! What a pool and its endpoints are spared, as the document states it.

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

/// When a single endpoint is spared requests because too many fail, and how many it gets at once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointCircuitBreaker {
    /// As in [`CircuitBreaker`], of the tries at one endpoint.
    pub failure_rate_percent: u8,
    /// As in [`CircuitBreaker`].
    pub window_ms: u64,
    /// As in [`CircuitBreaker`].
    pub minimum_requests: u32,
    /// As in [`CircuitBreaker`].
    pub base_open_time_ms: u64,
    /// As in [`CircuitBreaker`].
    pub max_open_time_ms: u64,
    /// As in [`CircuitBreaker`].
    pub half_open_requests: u16,
    /// Requests (tcp: connections, udp: sessions) that one endpoint gets at once, over all workers, or `null` for no limit.
    #[serde(deserialize_with = "present")]
    pub max_requests: Option<u32>,
    /// Of these, how many may wait for a connection to it, or `null` for no limit.
    #[serde(deserialize_with = "present")]
    pub max_pending: Option<u32>,
    /// Share of the pool's endpoints whose circuits may be open or half-open at once; one always may.
    pub max_open_percent: u8,
}

impl EndpointCircuitBreaker {
    /// What its circuit goes by; the limits are the lease's.
    pub fn circuit(&self) -> CircuitBreaker {
        CircuitBreaker {
            failure_rate_percent: self.failure_rate_percent,
            window_ms: self.window_ms,
            minimum_requests: self.minimum_requests,
            base_open_time_ms: self.base_open_time_ms,
            max_open_time_ms: self.max_open_time_ms,
            half_open_requests: self.half_open_requests,
            max_requests: None,
        }
    }
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
