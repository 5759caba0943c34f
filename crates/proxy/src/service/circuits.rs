//! Circuit breakers and adaptive limits get their clock here, ten times a second, and the breakers' transitions are told.
//! What is decided, and how, stands in `evenly_core::circuit` and `evenly_core::concurrency`.

use super::events::{Event, Events, Level, Subject};
use crate::clock::Clock;
use evenly_core::circuit::{Phase, Transition};
use evenly_core::pool::{Endpoint, Pool};
use std::sync::Arc;

/// What sweeps the circuits of all pools and their endpoints.
pub(super) struct Circuits {
    /// The workers'.
    clock: Clock,
    events: Arc<Events>,
}

impl Circuits {
    pub fn new(clock: Clock, events: Arc<Events>) -> Self {
        Self { clock, events }
    }

    /// Sweeps those of these pools.
    pub fn sweep(&self, pools: &[Arc<Pool>]) {
        let now = self.clock.now();
        for pool in pools {
            if let Some(transition) = pool.circuit.as_ref().and_then(|circuit| circuit.sweep(now)) {
                self.tell(pool, None, transition);
            }
            for (endpoint, transition) in pool.sweep_circuits(now) {
                self.tell(pool, Some(&endpoint), transition);
            }
            if let Some(concurrency) = &pool.concurrency {
                concurrency.sweep(now);
            }
        }
    }

    fn tell(&self, pool: &Pool, endpoint: Option<&Endpoint>, Transition { from, to, reason }: Transition) {
        let level = if to == Phase::Open { Level::Warning } else { Level::Info };
        let (pool, from, to) = (pool.name.to_string(), from.name(), to.name());
        let endpoint = endpoint.map(|endpoint| endpoint.address().to_string());
        self.events.push(Event::new(level, Subject::Circuit { pool, endpoint, from, to, reason }));
    }
}
