//! Handshakes with clients.

use crate::metrics::WorkerStats;
use crate::metrics::counts::{ListenerStats, TlsStats};
use crate::metrics::exposition::{Exposition, Kind};
use evenly_core::snapshot::Snapshot;

/// Of the listeners that terminate TLS.
pub(super) fn handshakes(to: &mut Exposition<'_>, snapshot: &Snapshot, stats: &WorkerStats) {
    let none = ListenerStats::default();
    let all: Vec<(&str, &TlsStats)> = snapshot
        .listeners
        .iter()
        .filter(|listener| listener.tls.is_some())
        .map(|listener| (&*listener.name, &stats.listeners.get(listener.id.0).unwrap_or(&none).tls))
        .collect();
    to.family(
        "evenly_tls_handshakes_total",
        Kind::Counter,
        "TLS handshakes that ended well, by version, and whether they resumed a session.",
    );
    for (name, tls) in &all {
        for (version, counts) in TlsStats::VERSIONS.iter().zip(tls.agreed) {
            for (resumed, count) in ["false", "true"].iter().zip(counts) {
                to.sample(&[("listener", name), ("version", version), ("resumed", resumed)], count);
            }
        }
    }
    to.family(
        "evenly_tls_handshake_failures_total",
        Kind::Counter,
        "TLS handshakes that failed; evenly_terminations_total has the reasons (tls-...).",
    );
    for (name, tls) in &all {
        to.sample(&[("listener", name)], tls.failed);
    }
}
