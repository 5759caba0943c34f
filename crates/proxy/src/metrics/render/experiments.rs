//! Metrics of what operators try out on routes: mirroring, faults on purpose, weights of splits.

use crate::metrics::WorkerStats;
use crate::metrics::exposition::{Exposition, Kind};
use evenly_core::document::Action;
use evenly_core::route::{Comparison, Mirrored};
use evenly_core::snapshot::Snapshot;

/// All families about experiments; only routes that have one.
pub(super) fn experiments(to: &mut Exposition<'_>, snapshot: &Snapshot, stats: &WorkerStats) {
    to.family(
        "evenly_faults_total",
        Kind::Counter,
        "Requests that their route delayed or aborted on purpose.",
    );
    for route in snapshot.routes.iter().filter(|route| route.fault.is_some()) {
        let counted = stats.routes.get(route.id.0 + 1);
        for (kind, count) in [
            ("delay", counted.map_or(0, |counted| counted.faults_delayed)),
            ("abort", counted.map_or(0, |counted| counted.faults_aborted)),
        ] {
            to.sample(&[("route", &route.name), ("kind", kind)], count);
        }
    }
    let mirrors = || {
        let mirrors = snapshot.routes.iter().filter_map(|route| Some((route, route.mirror.as_ref()?)));
        mirrors.map(|(route, mirror)| (route, mirror, stats.routes.get(route.id.0 + 1)))
    };
    to.family(
        "evenly_mirror_requests_total",
        Kind::Counter,
        "Requests drawn for mirroring, by what became of the copy.",
    );
    for (route, _, counted) in mirrors() {
        for (place, what) in Mirrored::ALL.into_iter().enumerate() {
            let count = counted.map_or(0, |counted| counted.mirrored[place]);
            to.sample(&[("route", &route.name), ("result", what.name())], count);
        }
    }
    to.family(
        "evenly_mirror_comparisons_total",
        Kind::Counter,
        "Answers to copies that were compared with the client's, by the first difference; same if there is none.",
    );
    for (route, _, counted) in mirrors().filter(|(_, mirror, _)| mirror.compare) {
        for (place, comparison) in Comparison::ALL.into_iter().enumerate() {
            let count = counted.map_or(0, |counted| counted.compared[place]);
            to.sample(&[("route", &route.name), ("result", comparison.name())], count);
        }
    }
    to.family(
        "evenly_route_split_weight",
        Kind::Gauge,
        "The weight of a pool in a route's split: the operator's, else the configuration's.",
    );
    for route in &snapshot.document.routes {
        let Action::Split { pools, .. } = &route.action else { continue };
        for (pool, weight) in pools {
            to.sample(&[("route", &route.name), ("pool", pool)], weight);
        }
    }
}
