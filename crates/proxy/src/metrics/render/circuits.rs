//! Metrics of circuit breakers and of adaptive limits; only of pools that have one.

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
    for pool in &scene.snapshot.pools {
        let measured = pool.concurrency.as_ref().map(|concurrency| concurrency.report().under_way);
        let limited = pool.circuit.as_ref().and_then(|circuit| circuit.report(now).under_way);
        if let Some(count) = measured.or(limited) {
            to.sample(&[("pool", &pool.name)], count);
        }
    }
    limits(to, scene);
}

/// All families about adaptive limits.
fn limits(to: &mut Exposition<'_>, scene: &Scene<'_>) {
    let all = || {
        let pools = scene.snapshot.pools.iter();
        pools.filter_map(|pool| Some((&*pool.name, pool.concurrency.as_ref()?.report())))
    };
    to.family(
        "evenly_pool_concurrency_limit",
        Kind::Gauge,
        "Requests that a pool with an adaptive limit gets at once at most.",
    );
    all().for_each(|(pool, report)| to.sample(&[("pool", pool)], report.limit));
    to.family(
        "evenly_pool_response_time_seconds",
        Kind::Gauge,
        "Median response time of a pool with an adaptive limit: without load, and in the last tenth of a second with enough.",
    );
    for (pool, report) in all() {
        for (load, nanos) in [("none", report.unloaded), ("present", report.last)] {
            if let Some(nanos) = nanos {
                to.sample(&[("pool", pool), ("load", load)], nanos as f64 / 1e9);
            }
        }
    }
}
