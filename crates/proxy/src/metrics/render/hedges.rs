//! Metrics of hedging; only of pools that do.

use crate::metrics::WorkerStats;
use crate::metrics::counts::PoolStats;
use crate::metrics::exposition::{Exposition, Kind};
use evenly_core::snapshot::Snapshot;

/// All families about second tries.
pub(super) fn hedges(to: &mut Exposition<'_>, snapshot: &Snapshot, stats: &WorkerStats) {
    let none = PoolStats::default();
    let pools = || {
        let hedging = snapshot.pools.iter().filter(|pool| pool.hedge.is_some());
        hedging.map(|pool| (&*pool.name, &stats.pools.get(pool.id.0).unwrap_or(&none).hedges))
    };
    to.family(
        "evenly_pool_hedges_total",
        Kind::Counter,
        "Second tries that began while the first was under way.",
    );
    pools().for_each(|(pool, hedges)| to.sample(&[("pool", pool)], hedges.sent));
    to.family("evenly_pool_hedges_won_total", Kind::Counter, "Second tries that answered first.");
    pools().for_each(|(pool, hedges)| to.sample(&[("pool", pool)], hedges.won));
    to.family(
        "evenly_pool_hedges_refused_total",
        Kind::Counter,
        "Second tries that were not made because the pool's retry budget was used up.",
    );
    pools().for_each(|(pool, hedges)| to.sample(&[("pool", pool)], hedges.refused));
    to.family(
        "evenly_pool_hedge_delay_seconds",
        Kind::Gauge,
        "After how long a request gets a second try, as of the last one; the longest of the workers', 0 if not known.",
    );
    pools().for_each(|(pool, hedges)| to.sample(&[("pool", pool)], hedges.delay as f64 / 1e9));
}
