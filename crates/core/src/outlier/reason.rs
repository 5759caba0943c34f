//! Why an endpoint's standing is what it is, for people and for metrics.

use super::consecutive::Trip;
use std::fmt;

/// What was found of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason {
    /// So many failures of a kind in a row.
    Consecutive(Trip, u32),
    /// Success rates from 0 to 1: its own, and the others' median.
    SuccessRate {
        /// Its own.
        own: f64,
        /// The others' median.
        others: f64,
    },
    /// Mean latencies in milliseconds: its own, and the others' median.
    Latency {
        /// Its own.
        own: f64,
        /// The others' median.
        others: f64,
    },
    /// It failed again right after it was let back.
    Probation {
        /// Requests that failed.
        failed: u32,
        /// Of so many.
        answered: u32,
    },
    /// Its predecessor process had ejected it.
    Inherited,
}

impl Reason {
    /// All words of [`Reason::name`].
    pub const NAMES: [&str; 7] = [
        "consecutive-5xx",
        "consecutive-gateway-failure",
        "consecutive-local-origin-failure",
        "success-rate",
        "latency",
        "probation",
        "inherited",
    ];

    /// As the metrics write it.
    pub fn name(&self) -> &'static str {
        Self::NAMES[self.index()]
    }

    /// Its place in [`Reason::NAMES`].
    pub fn index(&self) -> usize {
        match self {
            Self::Consecutive(trip, _) => *trip as usize,
            Self::SuccessRate { .. } => 3,
            Self::Latency { .. } => 4,
            Self::Probation { .. } => 5,
            Self::Inherited => 6,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consecutive(Trip::ServerErrors, count) => write!(f, "{count} consecutive 5xx"),
            Self::Consecutive(Trip::GatewayFailures, count) => {
                write!(f, "{count} consecutive gateway errors")
            }
            Self::Consecutive(Trip::LocalOriginFailures, count) => {
                write!(f, "{count} consecutive connect failures, resets or timeouts")
            }
            Self::SuccessRate { own, others } => {
                write!(f, "success rate {:.0} %, the others' {:.0} %", own * 100.0, others * 100.0)
            }
            Self::Latency { own, others } => write!(f, "latency {own:.0} ms, the others' {others:.0} ms"),
            Self::Probation { failed, answered } => {
                write!(f, "{failed} of {answered} requests failed in probation")
            }
            Self::Inherited => f.write_str("ejected before the upgrade"),
        }
    }
}
