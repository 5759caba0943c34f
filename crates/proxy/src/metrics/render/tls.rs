//! Handshakes with clients.

use crate::metrics::Scene;
use crate::metrics::WorkerStats;
use crate::metrics::counts::{ListenerStats, TlsStats};
use crate::metrics::exposition::{Exposition, Kind};

/// Of the listeners that terminate TLS.
pub(super) fn handshakes(to: &mut Exposition<'_>, scene: &Scene<'_>, stats: &WorkerStats) {
    let snapshot = scene.snapshot;
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
    early(to, scene, &all);
}

fn early(to: &mut Exposition<'_>, scene: &Scene<'_>, all: &[(&str, &TlsStats)]) {
    let listeners = scene.snapshot.listeners.iter().zip(scene.terminations);
    let remembered: Vec<_> = listeners
        .filter_map(|(listener, tls)| Some((&*listener.name, tls.as_ref()?.sessions.as_ref()?)))
        .collect();
    to.family(
        "evenly_tls_early_requests_total",
        Kind::Counter,
        "Requests in early data (0-RTT), and whether they were done at once or waited for the end of the handshake.",
    );
    for (name, tls) in all {
        for (outcome, count) in ["held", "at-once"].iter().zip(tls.early) {
            to.sample(&[("listener", name), ("outcome", outcome)], count);
        }
    }
    to.family(
        "evenly_tls_sessions",
        Kind::Gauge,
        "Sessions that are remembered for clients that send early data.",
    );
    for (name, sessions) in &remembered {
        to.sample(&[("listener", name)], sessions.count());
    }
    to.family(
        "evenly_tls_sessions_forgotten_total",
        Kind::Counter,
        "Sessions that were forgotten before their time, because others needed their room.",
    );
    for (name, sessions) in &remembered {
        to.sample(&[("listener", name)], sessions.forgotten());
    }
}
