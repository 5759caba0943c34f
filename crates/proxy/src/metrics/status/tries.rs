//! What the status says of a pool's further tries: after a first one that failed, and beside one that takes long.

use crate::metrics::WorkerStats;
use crate::metrics::counts::PoolStats;
use evenly_core::pool::Pool;
use evenly_core::retry::Cause;
use serde_json::{Map, Value, json};

/// Tries after failed ones, by what had failed, and those that there was no budget for.
pub(super) fn retries(pool: &Pool, stats: &WorkerStats) -> Value {
    let none = PoolStats::default();
    let counted = stats.pools.get(pool.id.0).unwrap_or(&none);
    let causes = Cause::KINDS.into_iter().zip(counted.retries);
    let causes: Map<String, Value> = causes.map(|(cause, count)| (cause.to_owned(), json!(count))).collect();
    json!({ "causes": causes, "refused": counted.retries_refused })
}

/// Second tries beside first ones, if the pool hedges.
pub(super) fn hedge(pool: &Pool, stats: &WorkerStats) -> Value {
    if pool.hedge.is_none() {
        return Value::Null;
    }
    let none = PoolStats::default();
    let hedges = &stats.pools.get(pool.id.0).unwrap_or(&none).hedges;
    json!({
        "delay": hedges.delay as f64 / 1e9,
        "sent": hedges.sent,
        "won": hedges.won,
        "refused": hedges.refused,
    })
}
