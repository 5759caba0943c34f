//! Clients that speak HTTP/3.

use crate::metrics::WorkerStats;
use crate::metrics::counts::{H3Stats, ListenerStats, Lost};
use crate::metrics::exposition::{Exposition, Kind};
use evenly_core::snapshot::Snapshot;
use evenly_http3::Code;

/// What a failure ended, in the order of [`H3Stats::failed`].
const SCOPES: [&str; 2] = ["stream", "connection"];

/// Errors of QUIC itself, behind those of [`Code::ALL`].
pub(in crate::metrics) const QUIC: &str = "quic";

/// Its name, what it means, and where it is.
type Counter = (&'static str, &'static str, fn(&H3Stats) -> u64);

/// Of the listeners that take it.
pub(super) fn connections(to: &mut Exposition<'_>, snapshot: &Snapshot, stats: &WorkerStats) {
    let none = ListenerStats::default();
    let all: Vec<(&str, &H3Stats)> = snapshot
        .listeners
        .iter()
        .filter(|listener| listener.http3)
        .map(|listener| (&*listener.name, &stats.listeners.get(listener.id.0).unwrap_or(&none).h3))
        .collect();
    let counters: [Counter; 4] = [
        (
            "evenly_http3_connections_total",
            "Client connections that spoke HTTP/3; evenly_connections_total counts all.",
            |counted| counted.opened,
        ),
        (
            "evenly_http3_retries_total",
            "Clients that had to show that they are where they say (Retry), as too many handshakes were under way.",
            |counted| counted.retried,
        ),
        (
            "evenly_http3_migrations_total",
            "Changes of clients' addresses that their connections survived.",
            |counted| counted.migrated,
        ),
        (
            "evenly_http3_handed_over_total",
            "Packets that came to another worker than the one that has their connection, and were passed on.",
            |counted| counted.handed_over,
        ),
    ];
    for (name, help, value) in counters {
        to.family(name, Kind::Counter, help);
        for (listener, counted) in &all {
            to.sample(&[("listener", listener)], value(counted));
        }
    }
    to.family(
        "evenly_http3_packets_lost_total",
        Kind::Counter,
        "Packets that were lost here, by reason: another worker's queue was full, or the kernel did not send them.",
    );
    for (listener, counted) in &all {
        for (why, count) in Lost::ALL.iter().zip(counted.lost) {
            to.sample(&[("listener", listener), ("reason", why.word())], count);
        }
    }
    to.family(
        "evenly_http3_errors_total",
        Kind::Counter,
        "Streams and connections of HTTP/3 that were ended because of what the client did, by error code.",
    );
    for (listener, counted) in &all {
        for (scope, failed) in SCOPES.iter().zip(counted.failed) {
            let codes = Code::ALL.iter().map(|code| code.word()).chain([QUIC]);
            for (code, count) in codes.zip(failed).filter(|(_, count)| *count > 0) {
                to.sample(&[("listener", listener), ("scope", scope), ("code", code)], count);
            }
        }
    }
}
