//! Metrics of affinity, for pools that have it and those of a split that has.

use crate::metrics::counts::{AffinityStats, PoolStats};
use crate::metrics::exposition::{Exposition, Kind};
use crate::metrics::{Scene, WorkerStats};
use evenly_core::affinity::table::Report;
use evenly_core::pool::Nanos;

/// All families about clients that are known again.
pub(super) fn affinity(to: &mut Exposition<'_>, scene: &Scene<'_>, stats: &WorkerStats) {
    let none = PoolStats::default();
    let pools = scene.snapshot.pools.iter().zip(&scene.snapshot.affinities);
    let counted: Vec<(&str, &AffinityStats)> = pools
        .map(|(pool, affinity)| (pool, affinity, &stats.pools.get(pool.id.0).unwrap_or(&none).affinity))
        .filter(|(_, affinity, counted)| affinity.is_some() || **counted != AffinityStats::default())
        .map(|(pool, _, counted)| (&*pool.name, counted))
        .collect();
    to.family(
        "evenly_affinity_requests_total",
        Kind::Counter,
        "Requests (tcp: connections) of clients that went where they belong (hit), were not known (new), had to leave an \
         endpoint (moved), or went elsewhere for once because it was full (spilled).",
    );
    for (pool, counted) in &counted {
        for (outcome, count) in [
            ("hit", counted.hits),
            ("new", counted.new),
            ("moved", counted.moved),
            ("spilled", counted.spilled),
        ] {
            to.sample(&[("pool", pool), ("outcome", outcome)], count);
        }
    }
    to.family(
        "evenly_affinity_cookies_ignored_total",
        Kind::Counter,
        "Cookies that nobody with the secret made (tampered), or that stand for nothing here (unknown).",
    );
    for (pool, counted) in &counted {
        for (reason, count) in [("tampered", counted.tampered), ("unknown", counted.unknown)] {
            to.sample(&[("pool", pool), ("reason", reason)], count);
        }
    }
    tables(to, scene);
}

fn tables(to: &mut Exposition<'_>, scene: &Scene<'_>) {
    let now = Nanos::try_from(scene.uptime.as_nanos()).unwrap_or(Nanos::MAX);
    let pools = scene.snapshot.pools.iter().zip(&scene.snapshot.affinities);
    let reports: Vec<(&str, Report)> = pools
        .filter_map(|(pool, affinity)| {
            let (table, bounds) = affinity.as_ref()?.table()?;
            Some((&*pool.name, table.report(bounds, now)))
        })
        .collect();
    to.family("evenly_affinity_entries", Kind::Gauge, "Clients that are remembered.");
    for (pool, report) in &reports {
        to.sample(&[("pool", pool)], report.entries);
    }
    to.family(
        "evenly_affinity_lookups_total",
        Kind::Counter,
        "Times that a client was looked for among those remembered, by result.",
    );
    for (pool, Report { tallies, .. }) in &reports {
        to.sample(&[("pool", pool), ("result", "hit")], tallies.hits);
        to.sample(&[("pool", pool), ("result", "miss")], tallies.misses);
    }
    to.family(
        "evenly_affinity_removals_total",
        Kind::Counter,
        "Clients forgotten because there were too many (evicted), or because they did not come back in time (expired).",
    );
    for (pool, Report { tallies, .. }) in &reports {
        to.sample(&[("pool", pool), ("reason", "evicted")], tallies.evictions);
        to.sample(&[("pool", pool), ("reason", "expired")], tallies.expirations);
    }
}
