//! What `evenly status` shows of zones and levels.

use crate::metrics::Scene;
use crate::metrics::render::place;
use crate::service::unix_seconds;
use evenly_core::pool::{EndpointState, Pool};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Every zone that an endpoint is in, and every one that is evacuated.
pub(super) fn zones(scene: &Scene<'_>) -> Vec<Value> {
    let mut found: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let evacuated: BTreeMap<String, _> =
        scene.service.map(|service| service.zones().evacuated()).unwrap_or_default().into_iter().collect();
    for zone in evacuated.keys() {
        found.entry(zone.clone()).or_default();
    }
    for member in scene.snapshot.pools.iter().flat_map(|pool| &pool.members) {
        let Some(zone) = member.zone.as_deref() else { continue };
        let (healthy, all) = found.entry(zone.to_owned()).or_default();
        *all += 1;
        *healthy += usize::from(member.endpoint.state() == EndpointState::Healthy);
    }
    let now = unix_seconds();
    found
        .into_iter()
        .map(|(zone, (healthy, endpoints))| {
            let until = evacuated.get(&zone).map(|left| now + left.as_secs_f64());
            json!({"name": zone, "endpoints": endpoints, "healthy": healthy, "evacuated_until": until})
        })
        .collect()
}

/// The levels of a pool with the share of each.
pub(super) fn levels(scene: &Scene<'_>, pool: &Pool) -> Vec<Value> {
    let node = scene.snapshot.document.zone.as_deref();
    let told = pool.level_shares().into_iter().map(|one| {
        json!({
            "priority": one.level.priority,
            "zone": place(one.level, node),
            "backup": one.level.is_backup,
            "usable_weight": one.usable,
            "weight": one.total,
            "share": one.share,
        })
    });
    told.collect()
}
