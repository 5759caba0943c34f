//! Metrics of where traffic goes: levels of priority and zone, evacuated zones, pools that took over.

use crate::metrics::exposition::{Exposition, Kind};
use crate::metrics::{Scene, WorkerStats};
use evenly_core::pool::Level;

/// All families about levels, zones and fallbacks.
pub(super) fn levels(to: &mut Exposition<'_>, scene: &Scene<'_>, stats: &WorkerStats) {
    to.family(
        "evenly_pool_fallbacks_total",
        Kind::Counter,
        "Requests (tcp: connections) that another pool took over, because none of this one's endpoints could be picked.",
    );
    for pool in &scene.snapshot.pools {
        to.sample(&[("pool", &pool.name)], stats.pools.get(pool.id.0).map_or(0, |pool| pool.fallbacks));
    }
    to.family(
        "evenly_pool_level_share",
        Kind::Gauge,
        "Share of a pool's traffic that a level of priority and zone gets now; only pools with several levels.",
    );
    let zone = scene.snapshot.document.zone.as_deref();
    for pool in &scene.snapshot.pools {
        for one in pool.level_shares() {
            let labels = [
                ("pool", &*pool.name),
                ("priority", &one.level.priority.to_string()),
                ("zone", place(one.level, zone)),
                ("backup", if one.level.is_backup { "true" } else { "false" }),
            ];
            to.sample(&labels, one.share);
        }
    }
    let evacuated = scene.service.map(|service| service.zones().evacuated()).unwrap_or_default();
    to.family(
        "evenly_zone_evacuation_seconds",
        Kind::Gauge,
        "Time until an evacuated zone comes back; only zones that are evacuated.",
    );
    for (zone, left) in &evacuated {
        to.sample(&[("zone", zone)], left.as_secs_f64());
    }
    to.family(
        "evenly_endpoint_info",
        Kind::Gauge,
        "Always 1; the labels tell the zone and the priority of an endpoint that has either.",
    );
    for pool in &scene.snapshot.pools {
        for member in &pool.members {
            if member.zone.is_none() && member.level.priority == 0 {
                continue;
            }
            let labels = [
                ("pool", &*pool.name),
                ("endpoint", &member.endpoint.address().to_string()),
                ("zone", member.zone.as_deref().unwrap_or_default()),
                ("priority", &member.level.priority.to_string()),
            ];
            to.sample(&labels, 1);
        }
    }
}

/// Where a level is, as seen from the node.
pub(in crate::metrics) fn place(level: Level, node: Option<&str>) -> &'static str {
    match (node, level.is_remote) {
        (None, _) => "any",
        (Some(_), false) => "local",
        (Some(_), true) => "other",
    }
}
