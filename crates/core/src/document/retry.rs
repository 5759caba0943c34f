//! Trying again, as the document states it.

use super::{StatusRange, present};
use serde::Deserialize;

/// When a request that failed at an endpoint is tried again, and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How often a request is tried at most, the first time included; 1 turns retries off.
    pub attempts: u32,
    /// After a connection that could not be made.
    pub on_connect_failure: bool,
    /// After a connection that ended before a byte of the response.
    pub on_reset: bool,
    /// After a response head that did not come in time.
    pub on_timeout: bool,
    /// After responses with one of these statuses.
    pub on_statuses: Vec<StatusRange>,
    /// After calls of gRPC that end with one of these statuses before anything else of a response.
    pub on_grpc_statuses: Vec<u8>,
    /// Whether requests are sent twice whose method is not idempotent (RFC 9110 §9.2.2).
    pub non_idempotent: bool,
    /// Bytes of a request, head and body as the endpoint gets them, that are kept for sending them again.
    pub body_bytes: u64,
    /// For one try, from the request's last byte sent to the response head's last byte received; `null`: the response
    /// timeout alone.
    #[serde(deserialize_with = "present")]
    pub try_ms: Option<u64>,
    /// The longest pause before the second try at the same endpoint, or the third at any; it doubles from try to try.
    pub backoff_ms: u64,
    /// What it doubles up to.
    pub max_backoff_ms: u64,
}

impl Retry {
    /// A policy that tries nothing again.
    pub fn never() -> Self {
        Self {
            attempts: 1,
            on_connect_failure: false,
            on_reset: false,
            on_timeout: false,
            on_statuses: Vec::new(),
            on_grpc_statuses: Vec::new(),
            non_idempotent: false,
            body_bytes: 0,
            try_ms: None,
            backoff_ms: 0,
            max_backoff_ms: 0,
        }
    }
}

/// When a request gets a second try beside the first.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hedge {
    /// So many of a thousand first tries are not late enough; 500 to 999.
    pub permille: u32,
    /// Never before this.
    pub min_delay_ms: u64,
}

/// Where requests wait for a pool whose endpoints are all full.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// How many may wait, over all workers.
    pub size: u32,
    /// For how long each may.
    pub timeout_ms: u64,
}

/// How many requests of a pool may be sent twice, over all its routes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryBudget {
    /// Retries for each hundred requests.
    pub percent: u32,
    /// Retries a second beyond those, over all workers, so that a pool with few requests can retry at all.
    pub min_per_second: u32,
}
