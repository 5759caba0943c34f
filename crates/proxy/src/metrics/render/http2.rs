//! Clients that speak HTTP/2, and calls of gRPC over it.

use crate::metrics::WorkerStats;
use crate::metrics::counts::{H2Stats, ListenerStats};
use crate::metrics::exposition::{Exposition, Kind};
use evenly_core::document::Protocol;
use evenly_core::snapshot::Snapshot;
use evenly_http2::Reason;

/// What a failure ended, in the order of [`H2Stats::failed`].
const SCOPES: [&str; 2] = ["stream", "connection"];

/// Of the listeners that take it.
pub(super) fn connections(to: &mut Exposition<'_>, snapshot: &Snapshot, stats: &WorkerStats) {
    let none = ListenerStats::default();
    let all: Vec<(&str, &H2Stats)> = snapshot
        .listeners
        .iter()
        .filter(|listener| listener.http2 && listener.protocol == Protocol::Http)
        .map(|listener| (&*listener.name, &stats.listeners.get(listener.id.0).unwrap_or(&none).h2))
        .collect();
    to.family(
        "evenly_http2_connections_total",
        Kind::Counter,
        "Client connections that spoke HTTP/2; evenly_listener_connections_total counts all.",
    );
    for (name, counted) in &all {
        to.sample(&[("listener", name)], counted.opened);
    }
    to.family(
        "evenly_http2_errors_total",
        Kind::Counter,
        "Streams and connections of HTTP/2 that were ended because of what the client did, by reason.",
    );
    for (name, counted) in &all {
        for (scope, failed) in SCOPES.iter().zip(counted.failed) {
            for (reason, count) in Reason::ALL.iter().zip(failed).filter(|(_, count)| *count > 0) {
                to.sample(&[("listener", name), ("scope", scope), ("reason", reason.word())], count);
            }
        }
    }
}

/// Calls of gRPC; only of pools that had some.
pub(super) fn calls(to: &mut Exposition<'_>, snapshot: &Snapshot, stats: &WorkerStats) {
    to.family("evenly_pool_grpc_calls_total", Kind::Counter, "Calls of gRPC that ended, by their status.");
    for pool in &snapshot.pools {
        for (status, count) in stats.pools.get(pool.id.0).into_iter().flat_map(|pool| pool.grpc.iter()) {
            to.sample(&[("pool", &pool.name), ("status", status)], count);
        }
    }
}
