//! Judgement by live traffic: ten times a second for each pool that wants it. What is decided, and how, stands in
//! `evenly_core::outlier`; here it gets its clock and its changes are told.

use super::checks::Checks;
use super::events::{Event, Events, Level, Subject};
use crate::clock::Clock;
use evenly_core::outlier::{Change, Judge};
use evenly_core::pool::{Pool, PoolId};
use evenly_core::snapshot::Snapshot;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Between two sweeps: how long an endpoint that fails keeps its traffic. A sweep reads a few counters of each endpoint.
const SWEEP: Duration = Duration::from_millis(100);

/// The judges of all pools.
pub(super) struct Judges {
    pools: RefCell<FxHashMap<PoolId, (Arc<Pool>, Judge)>>,
    /// The workers'.
    clock: Clock,
    wake: Notify,
    checks: Arc<Checks>,
    events: Arc<Events>,
}

impl Judges {
    /// Nothing to judge yet.
    pub fn new(clock: Clock, checks: Arc<Checks>, events: Arc<Events>) -> Self {
        Self { pools: RefCell::default(), clock, wake: Notify::new(), checks, events }
    }

    /// Judges the pools of `snapshot` from now on. A pool that is judged no more gets one last sweep, which acquits all.
    pub fn apply(&self, snapshot: &Snapshot) {
        let mut before = std::mem::take(&mut *self.pools.borrow_mut());
        for pool in &snapshot.pools {
            let known = before.remove(&pool.id).map(|(_, judge)| judge);
            let was_judged = known.is_some();
            let mut judge = known.unwrap_or_default();
            if pool.is_judged() {
                self.pools.borrow_mut().insert(pool.id, (Arc::clone(pool), judge));
            } else if was_judged {
                let changes = judge.sweep(pool, self.now());
                self.tell(pool, changes);
            }
        }
        self.wake.notify_one();
    }

    /// Sweeps for ever; sleeps as long as nothing is judged.
    pub async fn run(self: Rc<Self>) {
        loop {
            if self.pools.borrow().is_empty() {
                self.wake.notified().await;
            } else {
                tokio::time::sleep(SWEEP).await;
            }
            let now = self.now();
            for (pool, judge) in self.pools.borrow_mut().values_mut() {
                let changes = judge.sweep(pool, now);
                self.tell(pool, changes);
            }
        }
    }

    fn now(&self) -> u64 {
        self.clock.now()
    }

    fn tell(&self, pool: &Pool, changes: Vec<Change>) {
        for Change { endpoint, from, to, reason } in changes {
            self.checks.state_changed(endpoint.id());
            let level = if matches!(to, "ejected" | "degraded") { Level::Warning } else { Level::Info };
            let subject = Subject::Endpoint {
                pool: pool.name.to_string(),
                endpoint: endpoint.address().to_string(),
                from,
                to,
                reason,
            };
            self.events.push(Event::new(level, subject));
        }
    }
}
