//! What the health checks found: written by the service thread after each check, read for status and metrics.

use super::events::unix_seconds as now;
use super::probe::CheckFailure;
use evenly_core::pool::EndpointId;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One endpoint's checks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndpointChecks {
    /// Unix seconds: since when its state is what it is.
    pub since: f64,
    /// Why it is unhealthy: the failure that made it so.
    pub reason: Option<CheckFailure>,
    /// The check that ended last.
    pub last: Option<LastCheck>,
    /// Checks that passed.
    pub passed: u64,
    /// Checks that failed.
    pub failed: u64,
    /// Changes of its health.
    pub transitions: u64,
}

/// A check that ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastCheck {
    /// Unix seconds.
    pub at: f64,
    /// Whether it passed.
    pub outcome: Result<(), CheckFailure>,
    /// From its begin to its verdict.
    pub took: Duration,
}

/// All endpoints' checks, by number. An endpoint without checks has an entry as well, for its `since`.
///
/// One lock, taken for a few nanoseconds after each check; nobody on the packet path takes it.
#[derive(Debug, Default)]
pub struct Checks {
    endpoints: Mutex<Vec<Option<EndpointChecks>>>,
}

impl Checks {
    /// What is known of an endpoint; `None` if it is in no pool.
    pub fn of(&self, endpoint: EndpointId) -> Option<EndpointChecks> {
        self.lock().get(endpoint.0 as usize).copied().flatten()
    }

    /// A copy of all, by number: for readers that look at many.
    pub fn all(&self) -> Vec<Option<EndpointChecks>> {
        self.lock().clone()
    }

    /// Counts a check that ended.
    pub(super) fn ended(&self, endpoint: EndpointId, outcome: Result<(), CheckFailure>, took: Duration) {
        self.update(endpoint, |checks| {
            *(if outcome.is_ok() { &mut checks.passed } else { &mut checks.failed }) += 1;
            checks.last = Some(LastCheck { at: now(), outcome, took });
        });
    }

    /// Notes that the operator changed the state.
    pub fn state_changed(&self, endpoint: EndpointId) {
        self.update(endpoint, |checks| checks.since = now());
    }

    /// Notes that the health changed and why, and whether the state did so with it.
    pub(super) fn health_changed(
        &self,
        endpoint: EndpointId,
        reason: Option<CheckFailure>,
        with_state: bool,
    ) {
        self.update(endpoint, |checks| {
            checks.reason = reason;
            checks.transitions += 1;
            if with_state {
                checks.since = now();
            }
        });
    }

    /// Keeps what `endpoints` names, adds what is new and forgets the rest.
    pub(super) fn retain(&self, endpoints: impl Iterator<Item = EndpointId>) {
        let mut all = self.lock();
        let mut kept = vec![None; all.len()];
        for index in endpoints.map(|endpoint| endpoint.0 as usize) {
            if kept.len() <= index {
                kept.resize(index + 1, None);
            }
            let known = all.get(index).copied().flatten();
            kept[index] = Some(known.unwrap_or_else(EndpointChecks::begin));
        }
        *all = kept;
    }

    fn update(&self, endpoint: EndpointId, change: impl FnOnce(&mut EndpointChecks)) {
        if let Some(Some(checks)) = self.lock().get_mut(endpoint.0 as usize) {
            change(checks);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<EndpointChecks>>> {
        // Every change under the lock is a plain store, so a panic of its holder cannot leave it half done.
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EndpointChecks {
    fn begin() -> Self {
        Self { since: now(), reason: None, last: None, passed: 0, failed: 0, transitions: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_keep_their_checks_until_they_go() {
        let checks = Checks::default();
        let (one, two) = (EndpointId(1), EndpointId(2));
        checks.retain([one, two].into_iter());
        checks.ended(one, Ok(()), Duration::from_millis(2));
        checks.ended(one, Err(CheckFailure::Status(503)), Duration::from_millis(2));
        checks.health_changed(one, Some(CheckFailure::Status(503)), true);
        let found = checks.of(one).unwrap();
        assert_eq!((found.passed, found.failed, found.transitions), (1, 1, 1));
        assert_eq!(found.reason, Some(CheckFailure::Status(503)));
        assert_eq!(found.last.unwrap().outcome, Err(CheckFailure::Status(503)));

        checks.retain([one].into_iter());
        checks.ended(two, Ok(()), Duration::ZERO);
        assert_eq!((checks.of(one), checks.of(two)), (Some(found), None));
        checks.retain([two].into_iter());
        assert_eq!(checks.of(two).unwrap().passed, 0, "it is a new one");
    }
}
