//! Failures in a row: the fastest detector, for endpoints that fail always or nearly so.

use super::{Outcome, Reason};
use crate::document::OutlierDetection;

/// The runs that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "described at the policy's fields")]
pub enum Trip {
    ServerErrors,
    GatewayFailures,
    LocalOriginFailures,
}

impl Trip {
    /// All of them, the most telling last.
    pub const ALL: [Self; 3] = [Self::ServerErrors, Self::GatewayFailures, Self::LocalOriginFailures];

    /// The mildest outcome that prolongs the run.
    pub(super) fn least(self) -> Outcome {
        match self {
            Self::ServerErrors => Outcome::ServerError,
            Self::GatewayFailures => Outcome::GatewayFailure,
            Self::LocalOriginFailures => Outcome::LocalOriginFailure,
        }
    }

    /// How many in a row make an outlier; 0: none do.
    pub(super) fn limit(self, policy: &OutlierDetection) -> u32 {
        match self {
            Self::ServerErrors => policy.consecutive_5xx,
            Self::GatewayFailures => policy.consecutive_gateway_failure,
            Self::LocalOriginFailures => policy.consecutive_local_origin_failure,
        }
    }

    pub(super) fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Whether a run is as long as the limit says.
#[inline]
pub(super) fn is_outlier(run: u32, limit: u32) -> bool {
    limit > 0 && run >= limit
}

/// What the runs that reached their limit say: the most telling of them.
pub(super) fn reason(trips: u8, policy: &OutlierDetection) -> Option<Reason> {
    let trip = Trip::ALL.into_iter().rev().find(|trip| trips & trip.bit() != 0)?;
    Some(Reason::Consecutive(trip, trip.limit(policy)))
}
