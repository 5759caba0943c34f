//! What the status says of mirroring: for each route that has it, what became of its copies and how they compared.

use crate::metrics::WorkerStats;
use evenly_core::route::{Comparison, Mirrored};
use evenly_core::snapshot::Snapshot;
use serde_json::{Map, Value, json};

/// One entry for each route with a mirror, in file order.
pub(super) fn mirrors(snapshot: &Snapshot, stats: &WorkerStats) -> Vec<Value> {
    let routes = snapshot.routes.iter().filter_map(|route| Some((route, route.mirror.as_ref()?)));
    let all = routes.map(|(route, mirror)| {
        let counted = stats.routes.get(route.id.0 + 1);
        let copies = Mirrored::ALL.into_iter().enumerate().map(|(place, what)| {
            (what.name().to_owned(), json!(counted.map_or(0, |counted| counted.mirrored[place])))
        });
        let compared = Comparison::ALL.into_iter().enumerate().map(|(place, comparison)| {
            (comparison.name().to_owned(), json!(counted.map_or(0, |counted| counted.compared[place])))
        });
        json!({
            "route": &*route.name,
            "pool": &*snapshot.pools[mirror.pool.0 as usize].name,
            "copies": copies.collect::<Map<String, Value>>(),
            "compared": mirror.compare.then(|| compared.collect::<Map<String, Value>>()),
        })
    });
    all.collect()
}
