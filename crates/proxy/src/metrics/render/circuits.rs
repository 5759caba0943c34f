//! Metrics of circuit breakers; only of pools that have one.

use crate::metrics::exposition::{Exposition, Kind};
use crate::metrics::{Scene, WorkerStats};
use evenly_core::circuit::{Phase, Report};
use evenly_core::pool::Nanos;

/// All families about circuits.
pub(super) fn circuits(to: &mut Exposition<'_>, scene: &Scene<'_>, stats: &WorkerStats) {
    let now = Nanos::try_from(scene.uptime.as_nanos()).unwrap_or(Nanos::MAX);
    let all: Vec<(&str, u32, Report)> = scene
        .snapshot
        .pools
        .iter()
        .filter_map(|pool| Some((&*pool.name, pool.id.0, pool.circuit.as_ref()?.report(now))))
        .collect();
    to.family("evenly_pool_circuit_state", Kind::Gauge, "1 for the state that the pool's circuit is in.");
    for (pool, _, report) in &all {
        for phase in Phase::ALL {
            to.sample(&[("pool", pool), ("state", phase.name())], u8::from(phase == report.phase));
        }
    }
    to.family(
        "evenly_pool_circuit_transitions_total",
        Kind::Counter,
        "Times that the pool's circuit came into a state.",
    );
    for (pool, _, report) in &all {
        for (phase, count) in Phase::ALL.into_iter().zip(report.transitions) {
            to.sample(&[("pool", pool), ("state", phase.name())], count);
        }
    }
    to.family(
        "evenly_pool_circuit_rejected_total",
        Kind::Counter,
        "Requests (tcp: connections) that an open or half-open circuit kept from the pool.",
    );
    for (pool, id, _) in &all {
        to.sample(&[("pool", pool)], stats.pools.get(*id).map_or(0, |pool| pool.circuit_rejected));
    }
    to.family(
        "evenly_pool_in_flight",
        Kind::Gauge,
        "Requests (tcp: connections) under way; only pools that limit them.",
    );
    for (pool, _, report) in &all {
        if let Some(count) = report.under_way {
            to.sample(&[("pool", pool)], count);
        }
    }
}
