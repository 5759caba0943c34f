//! Circuit breakers and adaptive limits get their clock here, ten times a second, and the breakers' transitions are told.
//! What is decided, and how, stands in `evenly_core::circuit` and `evenly_core::concurrency`.

use super::events::{Event, Events, Level, Subject};
use evenly_core::circuit::{Phase, Transition};
use evenly_core::pool::{Nanos, Pool};
use std::sync::Arc;
use std::time::Instant;

/// What sweeps the circuits of all pools.
pub(super) struct Circuits {
    /// The workers' beginning of time.
    epoch: Instant,
    events: Arc<Events>,
}

impl Circuits {
    pub fn new(epoch: Instant, events: Arc<Events>) -> Self {
        Self { epoch, events }
    }

    /// Sweeps those of these pools.
    pub fn sweep(&self, pools: &[Arc<Pool>]) {
        let now = Nanos::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(Nanos::MAX);
        for pool in pools {
            if let Some(transition) = pool.circuit.as_ref().and_then(|circuit| circuit.sweep(now)) {
                self.tell(pool, transition);
            }
            if let Some(concurrency) = &pool.concurrency {
                concurrency.sweep(now);
            }
        }
    }

    fn tell(&self, pool: &Pool, Transition { from, to, reason }: Transition) {
        let level = if to == Phase::Open { Level::Warning } else { Level::Info };
        let (pool, from, to) = (pool.name.to_string(), from.name(), to.name());
        self.events.push(Event::new(level, Subject::Circuit { pool, from, to, reason }));
    }
}
