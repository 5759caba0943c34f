//! What the status says of a pool's queue.

use crate::metrics::WorkerStats;
use crate::metrics::counts::PoolStats;
use evenly_core::pool::Pool;
use serde_json::{Value, json};

/// Who waits, and what became of those who did, if the pool has a queue.
pub(super) fn queue(pool: &Pool, stats: &WorkerStats) -> Value {
    let Some(queue) = &pool.queue else { return Value::Null };
    let none = PoolStats::default();
    let counted = stats.pools.get(pool.id.0).unwrap_or(&none);
    json!({
        "waiting": counted.queue_entered.saturating_sub(counted.queue_left),
        "size": queue.size,
        "waited": counted.queue_entered,
        "timeouts": counted.queue_timeouts,
        "full": counted.queue_full,
    })
}
